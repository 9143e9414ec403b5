"""Tests of significance, against sums by brute force and known values."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrouter.evaluation.significance import exact_mcnemar, holm, paired


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (0, 5, 0.0625),
        (1, 9, 0.021484375),
        (4, 4, 1.0),
        (3, 11, 0.057373046875),
    ],
)
def test_mcnemar_of_small_counts_by_hand(only_first: int, only_second: int, p_value: float) -> None:
    """E.g. 1 against 9: 2 (1 + 10) / 1024."""
    assert p_value == exact_mcnemar(only_first, only_second)


@given(st.integers(0, 5), st.integers(0, 5))
def test_mcnemar_is_the_share_of_splits_at_least_as_uneven(only_first: int, only_second: int) -> None:
    """Counted over every way in which fair coins could have fallen."""
    differing = only_first + only_second
    uneven = abs(only_first - only_second)
    splits = [abs(2 * sum(coins) - differing) for coins in product((0, 1), repeat=differing)]

    assert sum(split >= uneven for split in splits) / len(splits) == exact_mcnemar(only_first, only_second)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemar_is_symmetrical_and_a_probability(only_first: int, only_second: int) -> None:
    """The order of the runs does not matter, and thousands of differences overflow nothing."""
    p_value = exact_mcnemar(only_first, only_second)

    assert p_value == exact_mcnemar(only_second, only_first)
    assert 0.0 <= p_value <= 1.0


def test_paired_counts_by_hand() -> None:
    """Counts, shares and difference of two runs over three conversations."""
    figures = paired([[(True, True), (True, False)], [(False, True), (False, True)], [(False, False)]])

    assert (1, 1, 2, 1) == (
        figures.both_right,
        figures.only_first_right,
        figures.only_second_right,
        figures.both_wrong,
    )
    assert (0.4, 0.6) == (figures.first, figures.second)
    assert pytest.approx(0.2) == figures.difference
    assert 1.0 == figures.p_value


def test_paired_interval_resamples_conversations() -> None:
    """Turns of one conversation stand together: with two conversations, one for each run, anything is possible."""
    figures = paired([[(True, False)] * 20, [(False, True)] * 20])

    assert (-1.0, 1.0) == figures.interval


def test_paired_runs_that_agree_differ_by_nothing() -> None:
    """Equal runs have the difference 0 with an interval of no width, and p = 1."""
    figures = paired([[(True, True), (False, False)], [(True, True)]])

    assert (0.0, (0.0, 0.0), 1.0) == (figures.difference, figures.interval, figures.p_value)


def test_paired_nothing_has_no_interval() -> None:
    """Without anything to judge, all counts are 0."""
    figures = paired([])

    assert (0, 0.0, 0.0, 0.0, None) == (
        figures.count,
        figures.first,
        figures.second,
        figures.difference,
        figures.interval,
    )


def test_holm_by_hand() -> None:
    """The smallest is multiplied by 4, the next by 3 and so on; none comes before a smaller one, none exceeds 1."""
    assert pytest.approx([0.04, 0.06, 0.06, 0.9]) == holm([0.01, 0.03, 0.02, 0.9])
    assert [1.0, 1.0] == holm([0.7, 0.8])
    assert [] == holm([])


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_only_raises_and_keeps_the_order(p_values: list[float]) -> None:
    """An adjusted p-value is at least the plain one, and a smaller one stays no larger."""
    adjusted = holm(p_values)

    assert all(plain <= higher <= 1.0 for plain, higher in zip(p_values, adjusted, strict=True))
    ranked = sorted(zip(p_values, adjusted, strict=True))
    assert [higher for _, higher in ranked] == sorted(adjusted)
