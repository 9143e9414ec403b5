"""The summary of durations."""

import pytest

from archrouter.evaluation.metrics import latency


def test_latency_of_a_hundred_calls_counted_by_hand() -> None:
    """Percentiles of 0.01, 0.02 … 1.00 s are interpolated between neighbours."""
    figures = latency([number / 100 for number in range(1, 101)])

    assert figures is not None
    assert 100 == figures.count
    assert pytest.approx(0.505) == figures.mean_s
    assert pytest.approx(0.505) == figures.p50_s
    assert pytest.approx(0.9505) == figures.p95_s
    assert pytest.approx(0.9901) == figures.p99_s
    assert 1.0 == figures.max_s


def test_latency_without_calls_is_none() -> None:
    """No call, no figures, rather than zeros that look like measurements."""
    assert latency([]) is None
