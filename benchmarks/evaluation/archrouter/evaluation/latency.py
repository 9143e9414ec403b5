"""How long calls took."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the calls took that gave a decision, in seconds; percentiles are interpolated linearly.

    Attributes:
        count: Calls, >= 1.
        mean_s: Mean.
        p50_s: Median.
        p95_s: 95th percentile.
        p99_s: 99th percentile.
        max_s: The slowest.
    """

    count: int
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float


def latency(durations_s: Sequence[float]) -> Latency | None:
    """Summarise durations.

    Args:
        durations_s: One for each call, in seconds >= 0.

    Returns:
        The summary; None when there was no call.
    """
    if not durations_s:
        return None
    p50_s, p95_s, p99_s = np.percentile(np.array(durations_s), (50, 95, 99))
    return Latency(
        len(durations_s), fmean(durations_s), float(p50_s), float(p95_s), float(p99_s), float(max(durations_s))
    )
