"""What a check found, and what it is measured against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class CannotRunError(Exception):
    """Nothing can be said about the engine: it does not answer, or a tool is missing. The text has the remedy."""


class Verdict(Enum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105  # a verdict, not a secret
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the report.

    Attributes:
        name: Which check.
        verdict: How it ended.
        measured: What was seen, in one sentence; for a check that does not apply, why.
        limit: What it had to be.
        remedy: What to do about a failure; empty otherwise.
        figures: The same for machines: what JSON can hold.
    """

    name: str
    verdict: Verdict
    measured: str
    limit: str
    remedy: str = ""
    figures: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(
        cls, name: str, measured: str, *, limit: str, passed: bool, remedy: str, figures: Mapping[str, object]
    ) -> "Check":
        """Make a check that was measured."""
        if passed:
            return cls(name, Verdict.PASS, measured, limit, "", figures)
        return cls(name, Verdict.FAIL, measured, limit, remedy, figures)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What the engine must reach. The defaults were chosen before any engine was measured.

    Attributes:
        min_route_agreement: Share in [0, 1] of questions on which engine and oracle choose the same route.
        max_probability_difference: In [0, 1], over every candidate of every question.
    """

    min_route_agreement: float = 0.99
    max_probability_difference: float = 0.02
