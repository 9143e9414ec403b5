"""A calibration in JSON: what a bundle's file and a compact router's config parameter have in common."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from archrouter.domain.posterior import Calibration, IsotonicMap


class Knot(BaseModel):
    """A point of the isotonic map."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    input: float = Field(ge=0, le=1)
    output: float = Field(ge=0, le=1)


class CalibrationMap(BaseModel):
    """A calibration of any kind that `Calibration` knows; further keys are passed over."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    kind: Literal["temperature", "isotonic"] = "temperature"
    temperature: float = Field(1.0, gt=0)
    knots: tuple[Knot, ...] = Field((), description="Of the isotonic map; empty for a temperature.")
    sample_count: int = Field(ge=0, description="Labelled decisions it was fitted on.")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.kind == "isotonic") != bool(self.knots):
            msg = f"kind {self.kind!r} with {len(self.knots)} knots; an isotonic map has knots, a temperature has none"
            raise ValueError(msg)
        if self.kind == "temperature" and "temperature" not in self.model_fields_set:
            msg = "kind 'temperature' without a temperature"
            raise ValueError(msg)
        self.calibration()  # raises ValueError for a map that no fit can produce
        return self

    def calibration(self) -> Calibration:
        """Return what the service applies."""
        isotonic = None
        if self.knots:
            isotonic = IsotonicMap(tuple(knot.input for knot in self.knots), tuple(knot.output for knot in self.knots))
        return Calibration(self.temperature, self.sample_count, isotonic)
