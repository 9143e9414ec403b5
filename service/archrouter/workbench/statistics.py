"""Intervals of shares, exact where a promise rests on them. Pure."""

import math

LEVEL = 0.95
"""Level of the intervals of shares."""

_Z = 1.959963984540054  # the normal quantile of LEVEL, two-sided
_BISECTIONS = 60

Interval = tuple[float, float]
"""Lower and upper end."""


def wilson_interval(count: int, total: int) -> Interval | None:
    """Enclose a share at `LEVEL` (Wilson 1927); it stays in [0, 1] and holds for few and for rare things.

    Args:
        count: Things that are so, in [0, total].
        total: Things, >= 0.

    Returns:
        The interval; None where there is nothing.
    """
    if not total:
        return None
    share, square = count / total, _Z**2 / total
    centre, spread = share + square / 2, _Z * math.sqrt(share * (1 - share) / total + square / (4 * total))
    return max(0.0, (centre - spread) / (1 + square)), min(1.0, (centre + spread) / (1 + square))


def binomial_tail(errors: int, total: int, rate: float) -> float:
    """Give the probability of at most so many errors.

    Args:
        errors: Errors seen, in [0, total].
        total: Independent cases, >= 0.
        rate: Probability of an error in each, in (0, 1).

    Returns:
        In [0, 1]. O(errors).
    """
    log_rate, log_rest = math.log(rate), math.log1p(-rate)
    terms = (
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) + k * log_rate + (total - k) * log_rest
        for k in range(errors + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


def upper_bound(errors: int, total: int, doubt: float) -> float:
    """Bound an error rate from above (Clopper and Pearson 1934).

    Args:
        errors: Errors seen, in [0, total].
        total: Independent cases, >= 0.
        doubt: Probability, in (0, 1), that the bound may fail with.

    Returns:
        The largest rate in [0, 1] under which so few errors are no rarer than `doubt`; 1 where all were errors.
    """
    if errors == total:
        return 1.0
    low, high = errors / total, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if middle in (0.0, 1.0):
            break
        low, high = (middle, high) if binomial_tail(errors, total, middle) > doubt else (low, middle)
    return high
