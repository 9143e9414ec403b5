"""Normalising scores, and calibrating them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from archrouter.domain.errors import BackendProtocolError
from archrouter.domain.posterior import Calibration, log_softmax, posterior_from_scores

SCORES = hnp.arrays(np.float32, st.integers(2, 200), elements=st.floats(-1e4, 1e4, width=32))


@given(SCORES)
def test_posterior_sums_to_one_for_any_finite_scores(scores: np.ndarray) -> None:  # type: ignore[type-arg]  # hypothesis
    """No finite logits over- or underflow the normalisation; 1e-9 is far below the promised 1e-6."""
    posterior = posterior_from_scores(scores)

    assert np.exp(posterior.log_probabilities).sum() == pytest.approx(1.0, abs=1e-9)
    assert posterior.exact.all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    """No decision rests on a score that means nothing, and the message counts them."""
    with pytest.raises(BackendProtocolError, match="1 of 3 scores are not finite"):
        posterior_from_scores(np.array([0.0, bad, 1.0], dtype=np.float32))


def test_log_softmax_keeps_impossible_candidates_impossible() -> None:
    """Minus infinity stays minus infinity and the rest still sums to one."""
    result = log_softmax(np.array([0.0, -np.inf, 0.0]))

    assert -np.inf == result[1]
    assert np.exp(result).sum() == pytest.approx(1.0)


@given(SCORES, st.floats(0.05, 20))
def test_calibration_keeps_the_order_and_sums_to_one(scores: np.ndarray, temperature: float) -> None:  # type: ignore[type-arg]  # hypothesis
    """A temperature changes how sure the model is, never what it prefers."""
    posterior = posterior_from_scores(scores)

    probabilities = Calibration(temperature, sample_count=10).apply(posterior)

    assert probabilities.sum() == pytest.approx(1.0, abs=1e-9)
    assert probabilities.max() == probabilities[posterior.log_probabilities.argmax()]


def test_higher_temperature_lowers_the_confidence() -> None:
    """Above 1 a temperature flattens."""
    posterior = posterior_from_scores(np.array([3.0, 0.0, 0.0], dtype=np.float32))

    assert Calibration(2.0).apply(posterior)[0] < Calibration(1.0).apply(posterior)[0]


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_calibration_refuses_an_impossible_temperature(temperature: float) -> None:
    """A temperature that no fit can produce is refused with its value."""
    with pytest.raises(ValueError, match="calibration temperature is"):
        Calibration(temperature)


def test_calibration_refuses_a_negative_sample_count() -> None:
    """Fewer than zero labelled decisions is a mistake."""
    with pytest.raises(ValueError, match="sample_count is -1"):
        Calibration(1.0, -1)


def test_calibration_is_fitted_only_with_samples() -> None:
    """The default says it is not calibrated."""
    assert not Calibration().is_fitted
    assert Calibration(1.3, 500).is_fitted
