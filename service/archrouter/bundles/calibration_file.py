"""``calibration.json``: the one file of a bundle that is measured on it afterwards, and is no part of its identity."""

import os
import tempfile
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from archrouter.bundles.manifest import CALIBRATION_FILE, BundleError, Strict, problems_of
from archrouter.domain.posterior import Calibration, IsotonicMap
from archrouter.domain.scoring import CalibrationReference

_DIGEST = r"^sha256:[0-9a-f]{64}$"


class Figures(Strict):
    """How good confidence is, on decisions that the map was not fitted on; 0 is best of each."""

    log_loss: float = Field(ge=0, description="Mean negative natural log of the right candidate's probability.")
    brier_score: float = Field(ge=0, le=1, description="Of the leading candidate's probability.")
    expected_calibration_error: float = Field(ge=0, le=1)
    area_under_risk_coverage: float = Field(ge=0, le=1)


class Evidence(Strict):
    """What a calibration was fitted on, and what it is worth."""

    data_digest: str = Field(pattern=_DIGEST, description="Of the labelled decisions.")
    conversation_count: int = Field(ge=1)
    fold_count: int = Field(ge=2, description="Parts of the cross-validation; a conversation is in one of them.")
    accuracy: float = Field(ge=0, le=1, description="Share of decisions whose leading candidate is right.")
    uncalibrated: Figures
    cross_validated: dict[Literal["temperature", "isotonic"], Figures]


class Knot(Strict):
    """A point of the isotonic map."""

    input: float = Field(ge=0, le=1)
    output: float = Field(ge=0, le=1)


class Reference(Strict):
    """How the model answered the decisions that it was fitted on; what drift is measured from."""

    top_probability_deciles: tuple[float, ...] = Field(description="Nine, rising: of the leading candidates.")
    no_match_share: float = Field(ge=0, le=1, description="Of decisions whose leading candidate was no match.")
    mean_entropy: float = Field(ge=0, le=1, description="As a share of that of an even posterior.")

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        self.reference()  # raises ValueError for what no sample can give
        return self

    def reference(self) -> CalibrationReference:
        """Return what the service takes."""
        return CalibrationReference(self.top_probability_deciles, self.no_match_share, self.mean_entropy)


class CalibrationFile(Strict):
    """Content of the file."""

    model_version: str = Field(pattern=_DIGEST, description="The weights and prompt it was measured on.")
    kind: Literal["temperature", "isotonic"] = "temperature"
    temperature: float = Field(1.0, gt=0)
    knots: tuple[Knot, ...] = Field((), description="Of the isotonic map; empty for a temperature.")
    sample_count: int = Field(ge=0, description="Labelled decisions it was fitted on.")
    reference: Reference | None = Field(None, description="What drift is measured from; without it nothing warns.")
    evidence: Evidence | None = Field(None, description="For people; the service does not read it.")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.kind == "isotonic") != bool(self.knots):
            msg = f"kind {self.kind!r} with {len(self.knots)} knots; an isotonic map has knots, a temperature has none"
            raise ValueError(msg)
        if self.kind == "temperature" and "temperature" not in self.model_fields_set:
            msg = "kind 'temperature' without a temperature"
            raise ValueError(msg)
        self.calibration()
        return self

    @classmethod
    def of(
        cls,
        calibration: Calibration,
        model_version: str,
        evidence: Evidence,
        reference: CalibrationReference | None = None,
    ) -> "CalibrationFile":
        """Describe a fitted calibration that was measured on the bundle of a version."""
        isotonic = calibration.isotonic
        points = zip(isotonic.inputs, isotonic.outputs, strict=True) if isotonic else ()
        return cls(
            model_version=model_version,
            kind="isotonic" if isotonic else "temperature",
            temperature=calibration.temperature,
            knots=tuple(Knot(input=input_, output=output) for input_, output in points),
            sample_count=calibration.sample_count,
            reference=Reference.model_validate(reference, from_attributes=True) if reference else None,
            evidence=evidence,
        )

    def calibration(self) -> Calibration:
        """Return what the service applies."""
        isotonic = None
        if self.knots:
            isotonic = IsotonicMap(tuple(knot.input for knot in self.knots), tuple(knot.output for knot in self.knots))
        return Calibration(self.temperature, self.sample_count, isotonic)


def read_calibration(directory: Path, model_version: str) -> tuple[Calibration, CalibrationReference | None]:
    """Read a bundle's calibration, one that is not fitted when there is no file, and its reference if it has one.

    Raises:
        BundleError: When the file is malformed, or was measured on other weights or another prompt.
    """
    path = directory / CALIBRATION_FILE
    if not path.is_file():
        return Calibration(), None
    try:
        measured = CalibrationFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        msg = f"{path} is malformed: {problems_of(error)}"
        raise BundleError(msg) from error
    if measured.model_version != model_version:
        msg = (
            f"{path} was measured on {measured.model_version}, this bundle is {model_version}; "
            "remove it or calibrate again"
        )
        raise BundleError(msg)
    return measured.calibration(), measured.reference.reference() if measured.reference else None


def write_calibration(directory: Path, content: CalibrationFile) -> Path:
    """Put the file into a bundle and return its path; when that fails, an earlier one is still there."""
    target = directory / CALIBRATION_FILE
    descriptor, scratch = tempfile.mkstemp(prefix=f".{CALIBRATION_FILE}-", dir=directory)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content.model_dump_json(indent=1, exclude_none=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).chmod(0o644)
        Path(scratch).replace(target)
    finally:
        Path(scratch).unlink(missing_ok=True)
    return target
