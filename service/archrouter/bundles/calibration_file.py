"""``calibration.json``: the one file of a bundle that is measured on it afterwards, and is no part of its identity."""

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from archrouter.bundles.manifest import CALIBRATION_FILE, BundleError, Strict, problems_of
from archrouter.domain.posterior import Calibration
from archrouter.domain.scoring import CalibrationReference
from archrouter.inference.calibration import CalibrationMap, Knot
from archrouter.whole_files import write_whole

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


class CalibrationFile(CalibrationMap):
    """Content of the file."""

    model_config = ConfigDict(extra="forbid")

    model_version: str = Field(pattern=_DIGEST, description="The weights and prompt it was measured on.")
    reference: CalibrationReference | None = Field(
        None, description="How the model answered then; what drift is measured from. Without it nothing warns."
    )
    evidence: Evidence | None = Field(None, description="For people; the service does not read it.")

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
            reference=reference,
            evidence=evidence,
        )


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
    return measured.calibration(), measured.reference


def write_calibration(directory: Path, content: CalibrationFile) -> Path:
    """Put the file into a bundle and return its path; when that fails, an earlier one is still there."""
    target = directory / CALIBRATION_FILE
    text = content.model_dump_json(indent=1, exclude_none=True) + "\n"
    write_whole(target, text.encode(), mode=0o644)
    return target
