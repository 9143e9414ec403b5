"""Figures about confidence, by hand and by property."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.scored_turns import scored

from archrouter.evaluation.reliability import BIN_COUNT, Bin, reliability
from archrouter.evaluation.turns import ScoredTurn


def _turns(*decisions: tuple[float, bool]) -> list[ScoredTurn]:
    return [
        turn
        for number, (confidence, is_right) in enumerate(decisions)
        for turn in scored("a", "a" if is_right else "b", conversation_id=f"c{number}", confidence=confidence)
    ]


def test_figures_of_four_decisions_counted_by_hand() -> None:
    """Bins [6/15, 7/15) and [12/15, 13/15): gaps |0.5 - 0.41| and |1 - 0.81| with two decisions each."""
    figures = reliability(_turns((0.40, True), (0.42, False), (0.80, True), (0.82, True)))

    assert figures is not None
    assert pytest.approx((2 * 0.09 + 2 * 0.19) / 4) == figures.expected_calibration_error
    assert pytest.approx((0.36 + 0.1764 + 0.04 + 0.0324) / 4) == figures.brier_score
    assert pytest.approx((0.40 + 0.42 + 0.80 + 0.82) / 4) == figures.mean_confidence
    assert [(6 / 15, 2, 0.5), (12 / 15, 2, 1.0)] == [(one.lower, one.count, one.accuracy) for one in figures.bins]


def test_risk_coverage_counted_by_hand() -> None:
    """Surest first the risks are 0, 1/2, 1/3, 2/4, 2/5; four of five are the 80 % whose accuracy is quoted."""
    figures = reliability(_turns((0.5, True), (0.9, True), (0.6, False), (0.8, False), (0.7, True)))

    assert figures is not None
    assert pytest.approx([0, 1 / 2, 1 / 3, 1 / 2, 2 / 5]) == [point.risk for point in figures.curve]
    assert pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0]) == [point.coverage for point in figures.curve]
    assert [0.9, 0.8, 0.7, 0.6, 0.5] == [point.threshold for point in figures.curve]
    assert pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2 + 2 / 5) / 5) == figures.area_under_risk_coverage
    assert (0.8, 0.5, 0.6) == (
        figures.at_quoted_coverage.coverage,
        figures.at_quoted_coverage.risk,
        figures.at_quoted_coverage.threshold,
    )


def test_equal_confidences_share_their_risk() -> None:
    """Nothing tells decisions of one confidence apart, so any coverage of them has their common risk."""
    figures = reliability(_turns((0.5, True), (0.5, False), (0.5, False), (0.5, False)))

    assert figures is not None
    assert pytest.approx([0.75] * 4) == [point.risk for point in figures.curve]


def test_confidence_of_one_is_in_the_last_bin() -> None:
    """The last bin is closed at both ends, the first holds 0."""
    figures = reliability(_turns((1.0, True), (0.0, False)))

    assert figures is not None
    assert (Bin(0.0, 1 / BIN_COUNT, 1, 0.0, 0.0), Bin(14 / 15, 1.0, 1, 1.0, 1.0)) == figures.bins
    assert (0.0, 0.0) == (figures.expected_calibration_error, figures.brier_score)


def test_failed_calls_have_no_confidence() -> None:
    """Failed calls are left out; without any decision there are no figures."""
    figures = reliability([*_turns((0.9, True)), *scored("a", "-", conversation_id="failed")])

    assert figures is not None
    assert 1 == figures.count
    assert reliability(scored("a", "-")) is None


_DECISIONS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=150)


@given(_DECISIONS)
def test_figures_stay_in_their_ranges(decisions: list[tuple[float, bool]]) -> None:
    """All figures lie in [0, 1], the bins hold every decision, and the curve ends with all of them."""
    figures = reliability(_turns(*decisions))

    assert figures is not None
    assert len(decisions) == figures.count == sum(one.count for one in figures.bins)
    assert 0.0 <= figures.expected_calibration_error <= 1.0
    assert 0.0 <= figures.brier_score <= 1.0
    assert 0.0 <= figures.area_under_risk_coverage <= 1.0
    assert all(0.0 <= point.risk <= 1.0 for point in figures.curve)
    assert 1.0 == figures.curve[-1].coverage
    assert pytest.approx(sum(not right for _, right in decisions) / len(decisions)) == figures.curve[-1].risk


@given(_DECISIONS, st.randoms())
def test_order_of_turns_does_not_matter(decisions: list[tuple[float, bool]], random: Random) -> None:
    """The figures are those of a set of decisions: shuffled turns give the same ones."""
    turns = _turns(*decisions)
    shuffled = random.sample(turns, len(turns))

    before, after = reliability(turns), reliability(shuffled)

    assert before is not None
    assert after is not None
    assert [pytest.approx(point.risk, abs=1e-9) for point in after.curve] == [point.risk for point in before.curve]
    assert pytest.approx(before.expected_calibration_error, abs=1e-9) == after.expected_calibration_error


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_perfect_confidence_has_no_error(rights: list[bool]) -> None:
    """Confidence 1 for what is right and 0 for what is wrong costs nothing, and every error comes last."""
    figures = reliability(_turns(*((float(right), right) for right in rights)))

    assert figures is not None
    assert (0.0, 0.0) == (figures.expected_calibration_error, figures.brier_score)
    assert [point.risk for point in figures.curve] == sorted(point.risk for point in figures.curve)


def test_long_curve_is_thinned() -> None:
    """However many decisions there are, the curve stays short enough to draw."""
    turns = _turns(*((number / 1000, number % 3 > 0) for number in range(1000)))

    figures = reliability([replace(turn, turn=0) for turn in turns])

    assert figures is not None
    assert 100 == len(figures.curve)
    assert pytest.approx([0.01, 0.02]) == [point.coverage for point in figures.curve[:2]]
