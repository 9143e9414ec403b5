"""What a calibration is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.posterior import Calibration
from archrouter.evaluation import calibration as confidence
from engine.calibrate.decisions import LabelledDecision


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a map is worth.

    Attributes:
        log_losses: float64 [N], of each decision over all its candidates.
        squared_errors: float64 [N], of each decision's confidence against 1 where it is right and 0 where it is wrong;
            their mean is the Brier score.
        confidence: The figures ``archrouter eval`` reports.
    """

    log_losses: NDArray[np.float64]
    squared_errors: NDArray[np.float64]
    confidence: confidence.Calibration

    @property
    def log_loss(self) -> float:
        """Mean of the log losses."""
        return float(self.log_losses.mean())


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The map to take.

    Attributes:
        kind: Its kind.
        calibration: Fitted on all decisions.
        uncalibrated: What the engine's own confidence is worth.
        cross_validated: What each kind is worth on decisions it was not fitted on.
        fold_count: Parts of the cross-validation.
        conversation_count: Conversations the decisions are of.
        reason: Why this kind, in a sentence.
    """

    kind: str
    calibration: Calibration
    uncalibrated: Measured
    cross_validated: Mapping[str, Measured]
    fold_count: int
    conversation_count: int
    reason: str


def measure(decisions: Sequence[LabelledDecision], applied: Sequence[Calibration]) -> Measured:
    """Compare calibrated decisions with what is right.

    Args:
        decisions: At least one.
        applied: The calibration of each.

    Returns:
        The figures.

    Raises:
        ValueError: When there is no decision.
    """
    pairs = list(zip(decisions, applied, strict=True))
    scored = [decision.scored(calibration) for decision, calibration in pairs]
    figures = confidence.calibration(scored)
    if figures is None:
        msg = "there is no decision to measure"
        raise ValueError(msg)
    return Measured(
        log_losses=np.array([decision.log_loss(calibration) for decision, calibration in pairs]),
        squared_errors=np.array([((turn.confidence or 0.0) - turn.is_right) ** 2 for turn in scored]),
        confidence=figures,
    )
