"""What is more than chance: intervals of figures, and tests of differences between runs. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

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


@dataclass(frozen=True, slots=True)
class Paired:
    """The same things judged in two runs.

    Attributes:
        both_right: Right in both runs.
        only_first_right: Right in the first run only.
        only_second_right: Right in the second run only.
        both_wrong: Wrong in both runs.
        interval: Ends of the 95 % interval of `difference`, by resampling conversations; None without any thing.
    """

    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    interval: Interval | None

    @property
    def count(self) -> int:
        """How many things were judged."""
        return self.both_right + self.only_first_right + self.only_second_right + self.both_wrong

    @property
    def first(self) -> float:
        """Share that is right in the first run, in [0, 1]; 0 without any thing."""
        return (self.both_right + self.only_first_right) / self.count if self.count else 0.0

    @property
    def second(self) -> float:
        """Share that is right in the second run, in [0, 1]; 0 without any thing."""
        return (self.both_right + self.only_second_right) / self.count if self.count else 0.0

    @property
    def difference(self) -> float:
        """Second minus first, in [-1, 1]."""
        return (self.only_second_right - self.only_first_right) / self.count if self.count else 0.0

    @property
    def p_value(self) -> float:
        """Of `exact_mcnemar`."""
        return exact_mcnemar(self.only_first_right, self.only_second_right)


Judged = tuple[bool, bool]
"""Whether a thing is right in the first run, and in the second."""


def paired(conversations: Iterable[Sequence[Judged]]) -> Paired:
    """Judge two runs.

    Args:
        conversations: For each conversation its things: turns, spans, or the one conversation.

    Returns:
        The counts, and the interval of the difference.
    """
    kinds = ((True, True), (True, False), (False, True), (False, False))
    counts = [[list(things).count(kind) for kind in kinds] for things in conversations]
    if not counts:
        return Paired(0, 0, 0, 0, None)
    table = np.array(counts, dtype=np.int64)
    sums = resampled_sums(table)
    differences = ratios(sums[:, 2] - sums[:, 1], sums.sum(axis=1))
    both_right, only_first, only_second, both_wrong = (int(count) for count in table.sum(axis=0))
    return Paired(both_right, only_first, only_second, both_wrong, interval(differences))


def exact_mcnemar(only_first: int, only_second: int) -> float:
    """Test whether two runs are equally often right: McNemar's test, exact and two-sided.

    Where the runs differ, each is as likely to be the right one if they are equally good, so the smaller count is
    binomial with probability 1/2. The test takes the things as independent of each other; conversations are, turns of
    one conversation are not quite.

    Args:
        only_first: Things right in the first run only, >= 0.
        only_second: Things right in the second run only, >= 0.

    Returns:
        Probability of a split at least as uneven, in [0, 1]; 1 when the runs never differ.
    """
    differing, smaller = only_first + only_second, min(only_first, only_second)
    binomials = accumulate(range(smaller), lambda term, k: term * (differing - k) // (k + 1), initial=1)
    return min(1.0, 2 * sum(binomials) / (1 << differing))  # Python rounds the quotient of any whole numbers once


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests for there being several (Holm 1979).

    Args:
        p_values: Each in [0, 1].

    Returns:
        The adjusted ones in the same order; among those below 0.05, the chance of any false one is below 0.05.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
