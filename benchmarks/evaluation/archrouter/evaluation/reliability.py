"""How well confidence tells right decisions from wrong ones. Pure.

Calls that failed have no confidence and are left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archrouter.evaluation.turns import ScoredTurn

BIN_COUNT = 15
"""Bins of equal width, as in Guo et al. 2017, On Reliability of Modern Neural Networks."""

QUOTED_COVERAGE = 0.8
"""The coverage whose accuracy is quoted: what is right among the 80 % the router is surest of."""

_CURVE_POINT_COUNT = 100


@dataclass(frozen=True, slots=True)
class Bin:
    """Decisions of similar confidence.

    Attributes:
        lower: Lowest confidence of the bin; it belongs to it.
        upper: Highest confidence; it belongs to the next bin, and to this one when it is 1.
        count: Decisions, >= 1.
        mean_confidence: In [0, 1].
        accuracy: Share of them that is right, in [0, 1].
    """

    lower: float
    upper: float
    count: int
    mean_confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """What would be left if the router decided only where it is surest.

    Attributes:
        coverage: Share of the decisions kept, in (0, 1].
        risk: Share of the kept ones that is wrong, in [0, 1].
        threshold: Confidence of the least sure decision kept.
    """

    coverage: float
    risk: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """All figures about confidence.

    Attributes:
        count: Decisions, >= 1.
        mean_confidence: In [0, 1]; above the accuracy means that the router is too sure.
        expected_calibration_error: Mean distance of confidence and accuracy over `BIN_COUNT` bins of equal width,
            weighted by their decisions; in [0, 1], 0 is best.
        brier_score: Mean squared distance of the confidence from 1 where the decision is right, from 0 where it is
            wrong; in [0, 1], 0 is best.
        area_under_risk_coverage: Mean risk over all coverages, in [0, 1], 0 is best.
        at_quoted_coverage: The point of the curve at `QUOTED_COVERAGE`.
        bins: The bins that hold a decision, in ascending order.
        curve: Points of the risk-coverage curve in ascending coverage, `_CURVE_POINT_COUNT` at most; the last keeps
            every decision.
    """

    count: int
    mean_confidence: float
    expected_calibration_error: float
    brier_score: float
    area_under_risk_coverage: float
    at_quoted_coverage: CoveragePoint
    bins: tuple[Bin, ...]
    curve: tuple[CoveragePoint, ...]


def reliability(turns: Sequence[ScoredTurn]) -> Reliability | None:
    """Compare confidence with what turned out right; None when no turn has a decision."""
    decided = [(turn.confidence, turn.is_right) for turn in turns if turn.confidence is not None]
    if not decided:
        return None
    confidence = np.array([sureness for sureness, _ in decided], dtype=np.float64)
    right = np.array([is_right for _, is_right in decided], dtype=np.float64)
    bins = _bins(confidence, right)
    risks, thresholds = _risks(confidence, right)
    count = len(decided)

    def point(kept: int) -> CoveragePoint:
        return CoveragePoint(kept / count, float(risks[kept - 1]), float(thresholds[kept - 1]))

    steps = min(count, _CURVE_POINT_COUNT)
    return Reliability(
        count=count,
        mean_confidence=float(confidence.mean()),
        expected_calibration_error=sum(one.count * abs(one.accuracy - one.mean_confidence) for one in bins) / count,
        brier_score=float(np.square(confidence - right).mean()),
        area_under_risk_coverage=float(risks.mean()),
        at_quoted_coverage=point(math.ceil(QUOTED_COVERAGE * count)),
        bins=bins,
        curve=tuple(point(math.ceil(step * count / steps)) for step in range(1, steps + 1)),
    )


def _bins(confidence: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[Bin, ...]:
    index = np.minimum((confidence * BIN_COUNT).astype(np.int64), BIN_COUNT - 1)
    return tuple(
        Bin(
            lower=number / BIN_COUNT,
            upper=(number + 1) / BIN_COUNT,
            count=int(inside.sum()),
            mean_confidence=float(confidence[inside].mean()),
            accuracy=float(right[inside].mean()),
        )
        for number in range(BIN_COUNT)
        if (inside := index == number).any()
    )


def _risks(
    confidence: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Follow the surest 1, 2 … n decisions.

    Among decisions of the same confidence nothing says which to keep first, so their mean counts for each of them:
    the curve does not depend on the order of the turns.

    Returns:
        float64 [n] risks and float64 [n] thresholds.
    """
    levels, level_of = np.unique(-confidence, return_inverse=True)
    mean_right = np.bincount(level_of, weights=right) / np.bincount(level_of)
    order = np.argsort(level_of, kind="stable")
    kept_right = np.cumsum(mean_right[level_of[order]])
    kept = np.arange(1, len(confidence) + 1)
    # Sums of thirds and the like may exceed the count by a rounding error.
    return np.clip(1 - kept_right / kept, 0.0, 1.0), -levels[level_of[order]]
