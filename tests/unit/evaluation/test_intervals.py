"""Resampling."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from archrouter.evaluation.significance import RESAMPLE_COUNT, interval, ratios, resampled_sums


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8))
def test_each_resample_draws_as_many_conversations_as_there_are(counts: list[int]) -> None:
    """A column of ones adds up to the number of conversations in every resample; no sum leaves what can be drawn."""
    table = np.array([[count, 1] for count in counts], dtype=np.int64)

    sums = resampled_sums(table)

    assert (RESAMPLE_COUNT, 2) == sums.shape
    assert {len(counts)} == set(sums[:, 1].tolist())
    assert len(counts) * min(counts) <= sums[:, 0].min()
    assert sums[:, 0].max() <= len(counts) * max(counts)


def test_resamples_repeat() -> None:
    """The same counts give the same resamples, so a report can be made again."""
    table = np.arange(12, dtype=np.int64).reshape(6, 2)

    assert resampled_sums(table).tolist() == resampled_sums(table).tolist()


def test_interval_leaves_out_resamples_without_the_figure() -> None:
    """A resample that missed a rare kind of turn has no share of it; without any there is no interval."""
    shares = ratios(np.array([1, 0, 1]), np.array([2, 0, 2]))

    assert (0.5, 0.5) == interval(shares)
    assert interval(ratios(np.array([0]), np.array([0]))) is None
