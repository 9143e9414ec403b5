"""The isotonic map, alone and as a calibration; temperatures are in test_posterior.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from archrouter.domain.posterior import (
    MAX_SHARPNESS,
    MIN_SHARPNESS,
    Calibration,
    IsotonicMap,
    log_softmax,
    posterior_from_scores,
)

SCORES = hnp.arrays(np.float32, st.integers(2, 60), elements=st.floats(-50, 50, width=32))
IDENTITY = IsotonicMap((0.0, 1.0), (0.0, 1.0))


@st.composite
def isotonic_maps(draw: st.DrawFn) -> IsotonicMap:
    """Draw a curve with up to eight inner knots; plateaus are allowed."""
    inner = sorted(draw(st.sets(st.floats(0.001, 0.999), max_size=8)))
    outputs = sorted(draw(st.lists(st.floats(0, 1), min_size=len(inner) + 2, max_size=len(inner) + 2)))
    return IsotonicMap((0.0, *inner, 1.0), tuple(outputs))


@given(SCORES, isotonic_maps(), st.floats(0.1, 10))
def test_an_isotonic_calibration_sums_to_one_and_keeps_the_order(
    scores: NDArray[np.float32], isotonic: IsotonicMap, temperature: float
) -> None:
    """Whatever the curve: a probability for each candidate, and none overtakes another."""
    posterior = posterior_from_scores(scores)

    probabilities = Calibration(temperature, 10, isotonic).apply(posterior)

    assert probabilities.sum() == pytest.approx(1.0, abs=1e-9)
    assert (probabilities >= 0).all()
    assert probabilities.max() == probabilities[posterior.log_probabilities.argmax()]
    assert (np.diff(probabilities[np.argsort(posterior.log_probabilities)]) >= 0).all()


@given(SCORES, isotonic_maps())
def test_the_leader_gets_the_probability_of_the_curve(scores: NDArray[np.float32], isotonic: IsotonicMap) -> None:
    """Or the nearest that a temperature within the bounds can give it."""
    log_probabilities = posterior_from_scores(scores).log_probabilities
    target = np.interp(np.exp(log_probabilities.max()), isotonic.inputs, isotonic.outputs)
    flattest, sharpest = (
        np.exp(log_softmax(log_probabilities * sharpness)).max() for sharpness in (MIN_SHARPNESS, MAX_SHARPNESS)
    )

    leader = Calibration(1.0, 10, isotonic).apply(posterior_from_scores(scores)).max()

    assert pytest.approx(min(max(target, flattest), sharpest), abs=1e-5) == leader


@given(st.floats(0.5001, 0.999), st.floats(0.0001, 0.4), isotonic_maps())
def test_of_two_candidates_the_surer_leader_stays_the_surer(
    confidence: float, step: float, isotonic: IsotonicMap
) -> None:
    """More confidence before the map is more, or as much, after it."""
    surer = min(confidence + step, 0.9999)
    calibration = Calibration(1.0, 10, isotonic)

    before, after = (
        calibration.apply(posterior_from_scores(np.log(np.array([p, 1 - p], np.float32))))[0]
        for p in (confidence, surer)
    )

    assert after >= before - 1e-5


@given(SCORES)
def test_the_identity_changes_nothing(scores: NDArray[np.float32]) -> None:
    """The straight line is no calibration at all."""
    posterior = posterior_from_scores(scores)

    np.testing.assert_allclose(
        Calibration(1.0, 10, IDENTITY).apply(posterior), np.exp(posterior.log_probabilities), atol=1e-5
    )


def test_many_unlikely_candidates_do_not_change_what_the_leader_gets() -> None:
    """The curve is fitted on policy sets of any size and holds for any other."""
    curve = Calibration(1.0, 10, IsotonicMap((0.0, 0.9, 1.0), (0.1, 0.7, 0.8)))
    few = np.log(np.array([0.9, 0.1], np.float32))
    many = np.log(np.array([0.9, *[0.001] * 100], np.float32))

    assert pytest.approx([0.7, 0.7]) == [curve.apply(posterior_from_scores(scores)).max() for scores in (few, many)]


def test_equal_leaders_stay_equal_whatever_the_curve_asks_for() -> None:
    """No temperature can tell them apart, and the first in policy order still wins."""
    certain = Calibration(1.0, 10, IsotonicMap((0.0, 1.0), (1.0, 1.0)))

    assert [0.5, 0.5] == certain.apply(posterior_from_scores(np.zeros(2, np.float32))).tolist()


def test_an_impossible_candidate_stays_impossible() -> None:
    """A temperature of any size leaves nought at nought."""
    posterior = posterior_from_scores(np.array([0.0, 0.0, -1e30], np.float32))

    assert 0.0 == Calibration(1.0, 10, IsotonicMap((0.0, 1.0), (0.0, 0.2))).apply(posterior)[2]


@pytest.mark.parametrize(
    ("inputs", "outputs", "told"),
    [
        ((0.0, 1.0), (0.0, 0.5, 1.0), "2 inputs and 3 outputs"),
        ((0.0, 0.5, 0.5, 1.0), (0.0, 0.2, 0.3, 0.4), "inputs must rise"),
        ((0.0, float("nan"), 1.0), (0.0, 0.4, 0.5), "inputs must rise"),
        ((0.1, 1.0), (0.0, 1.0), "inputs must lead"),
        ((0.0, 0.9), (0.0, 1.0), "inputs must lead"),
        ((), (), "inputs must lead"),
        ((0.0, 0.5, 1.0), (0.0, 0.4, 0.3), "outputs must be"),
        ((0.0, 1.0), (-0.1, 1.0), "outputs must be"),
        ((0.0, 1.0), (0.0, 1.1), "outputs must be"),
        ((0.0, 1.0), (0.0, float("nan")), "outputs must be"),
    ],
)
def test_a_curve_that_falls_is_refused(inputs: tuple[float, ...], outputs: tuple[float, ...], told: str) -> None:
    """More confidence must not become less, and a probability stays one."""
    with pytest.raises(ValueError, match=told):
        IsotonicMap(inputs, outputs)
