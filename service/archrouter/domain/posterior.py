"""The posterior over candidates, and its calibration: what turns a model's belief into a probability that holds.

Candidates are the routes in policy order, then the no-match answer. Everything here is linear in their number.

A calibration is fitted on labelled conversations of one model version. Both maps divide the log-probabilities by a
temperature (Guo et al. 2017, arXiv 1706.04599) and so keep the order of the candidates and a sum of 1:

- a temperature: the same for every decision;
- an isotonic map (Zadrozny and Elkan 2002, "Transforming classifier scores into accurate multiclass probability
  estimates"): a rising curve over the leader's probability; each decision gets the temperature that leads there.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.errors import BackendProtocolError

MIN_SHARPNESS, MAX_SHARPNESS = 0.05, 20.0
"""Bounds of 1 / temperature for a single decision: a curve may ask for what no temperature gives, such as less than an
even share, or more than half of two equal candidates."""

_BISECTIONS = 26
"""Halvings of the range between the bounds, on a logarithmic scale: enough for a relative error below 1e-7."""


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """A normalised distribution over the candidates, as the model gave it, before calibration.

    Attributes:
        log_probabilities: float64 [C], natural log; ``exp`` of them sums to 1 within 1e-6.
        exact: bool [C]; False where a value is an even share of a larger mass the model was not asked to split.
    """

    log_probabilities: NDArray[np.float64]
    exact: NDArray[np.bool_]


def posterior_from_scores(scores: NDArray[np.float32]) -> Posterior:
    """Normalise independent scores.

    Args:
        scores: float32 [C], C >= 2, logits: natural log up to a common constant. The last is no match.

    Returns:
        The softmax of the scores, every entry exact.

    Raises:
        BackendProtocolError: When a score is not finite, because no decision can rest on it.
    """
    if not np.isfinite(scores).all():
        msg = f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite"
        raise BackendProtocolError(msg)
    return Posterior(log_softmax(scores.astype(np.float64)), np.ones(scores.shape, dtype=np.bool_))


def log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalise logits without overflow.

    Args:
        scores: float64 [C], C >= 1, natural log up to a constant; ``-inf`` means impossible, one must be finite.

    Returns:
        float64 [C], natural-log probabilities.
    """
    shifted = scores - scores.max()
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return normalised


@dataclass(frozen=True, slots=True)
class IsotonicMap:
    """A piecewise-linear, nowhere falling map of the leader's probability.

    Attributes:
        inputs: Probabilities at the knots, rising from exactly 0 to exactly 1.
        outputs: The calibrated ones, as many, in [0, 1], none below the one before it.
    """

    inputs: tuple[float, ...]
    outputs: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a curve that falls somewhere: more confidence must not become less."""
        if len(self.inputs) != len(self.outputs):
            msg = f"isotonic map has {len(self.inputs)} inputs and {len(self.outputs)} outputs; a knot has one of both"
            raise ValueError(msg)
        # Each condition is written so that NaN, which compares false, breaks it.
        if not all(left < right for left, right in pairwise(self.inputs)):
            msg = "isotonic map: inputs must rise from each knot to the next"
            raise ValueError(msg)
        if (*self.inputs[:1], *self.inputs[-1:]) != (0.0, 1.0):
            msg = "isotonic map: inputs must lead from 0 to 1"
            raise ValueError(msg)
        if not all(left <= right for left, right in pairwise((0.0, *self.outputs, 1.0))):
            msg = "isotonic map: outputs must be in [0, 1] and must not fall from a knot to the next"
            raise ValueError(msg)

    def sharpness(self, log_probabilities: NDArray[np.float64]) -> float:
        """Find what to multiply log-probabilities by, so that the leader's probability becomes that of the curve.

        Args:
            log_probabilities: float64 [C], natural log, normalised.

        Returns:
            1 / temperature, in [`MIN_SHARPNESS`, `MAX_SHARPNESS`]. O(C).
        """
        leader = float(log_probabilities.max())
        target = float(np.interp(math.exp(leader), self.inputs, self.outputs))
        gaps = log_probabilities - leader
        low, high = math.log(MIN_SHARPNESS), math.log(MAX_SHARPNESS)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            # The leader's probability, which grows with the sharpness.
            if 1 / np.exp(gaps * math.exp(middle)).sum() < target:
                low = middle
            else:
                high = middle
        return math.exp((low + high) / 2)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted calibration.

    Attributes:
        temperature: > 0; above 1 it flattens an over-confident model.
        sample_count: Labelled decisions it was fitted on; 0 means not calibrated.
        isotonic: Applied after the temperature; None for a temperature alone.
    """

    temperature: float = 1.0
    sample_count: int = 0
    isotonic: IsotonicMap | None = None

    def __post_init__(self) -> None:
        """Refuse values that no fit can produce."""
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            msg = f"calibration temperature is {self.temperature}; it must be a finite number above 0"
            raise ValueError(msg)
        if self.sample_count < 0:
            msg = f"calibration sample_count is {self.sample_count}; it must not be negative"
            raise ValueError(msg)

    @property
    def is_fitted(self) -> bool:
        """Whether labelled decisions stand behind the calibration."""
        return self.sample_count > 0

    def apply(self, posterior: Posterior) -> NDArray[np.float64]:
        """Calibrate a posterior.

        Args:
            posterior: Over C candidates, as the model gave it.

        Returns:
            float64 [C], probabilities that sum to 1 within 1e-6; the candidates keep their order.
        """
        log_probabilities = log_softmax(posterior.log_probabilities / self.temperature)
        if self.isotonic is not None:
            log_probabilities = log_softmax(log_probabilities * self.isotonic.sharpness(log_probabilities))
        return np.exp(log_probabilities)
