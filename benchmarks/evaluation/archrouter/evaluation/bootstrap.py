"""Intervals by resampling conversations, because the turns of one conversation are not independent. Pure."""

import numpy as np
from numpy.typing import NDArray

CONFIDENCE_LEVEL = 0.95
RESAMPLE_COUNT = 2000
"""The interval's ends then repeat to about 0.1 points; more is not worth the time."""

Interval = tuple[float, float]
"""Lower and upper end."""

_SEED = 20250619
_CHUNK = 100  # resamples drawn at once: 100 x 20,000 conversations of 8 bytes are 16 MB


def resampled_sums(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Draw as many conversations as there are, with replacement, again and again, and add up what they count.

    Args:
        counts: int64 [C, K], C > 0 conversations with K counts each.

    Returns:
        int64 [RESAMPLE_COUNT, K]. O(RESAMPLE_COUNT * C * K); the same counts give the same sums.
    """
    conversation_count = len(counts)
    generator = np.random.default_rng(_SEED)
    offsets = np.arange(_CHUNK)[:, None] * conversation_count
    sums = []
    for _ in range(RESAMPLE_COUNT // _CHUNK):
        drawn = generator.integers(0, conversation_count, size=(_CHUNK, conversation_count)) + offsets
        weights = np.bincount(drawn.ravel(), minlength=_CHUNK * conversation_count)
        sums.append(weights.reshape(_CHUNK, conversation_count) @ counts)
    return np.concatenate(sums)


def ratios(right: NDArray[np.int64], total: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide, with NaN where there is nothing to divide by: a resample may miss a rare kind of turn.

    Args:
        right: int64 of any shape.
        total: int64, the same shape, >= 0.

    Returns:
        float64, the same shape.
    """
    return np.divide(right, total, out=np.full(right.shape, np.nan), where=total > 0)


def interval(samples: NDArray[np.float64]) -> Interval | None:
    """Take the percentiles that enclose the level.

    Args:
        samples: float64 [RESAMPLE_COUNT], a figure of each resample; NaN where it has none.

    Returns:
        Lower and upper end; None when no resample has the figure.
    """
    known = samples[~np.isnan(samples)]
    if not known.size:
        return None
    tail = (1 - CONFIDENCE_LEVEL) / 2
    lower, upper = np.quantile(known, (tail, 1 - tail))
    return float(lower), float(upper)
