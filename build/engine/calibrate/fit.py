"""Fitting the two maps; see ADR 0011. Needs scikit-learn and scipy, of the extra `build`."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression

from archrouter.domain.posterior import Calibration, IsotonicMap
from engine.calibrate.decisions import LabelledDecision

TEMPERATURES = (0.05, 20.0)
"""A model that needs one outside is broken, not miscalibrated."""

Fit = Callable[[Sequence[LabelledDecision]], Calibration]


def fit_temperature(decisions: Sequence[LabelledDecision]) -> Calibration:
    """Find the temperature with the least log loss.

    Args:
        decisions: At least one.

    Returns:
        The calibration. The log loss is convex in 1 / temperature, so there is one minimum.
    """

    def loss(log_temperature: float) -> float:
        calibration = Calibration(math.exp(log_temperature))
        return sum(decision.log_loss(calibration) for decision in decisions)

    low, high = map(math.log, TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return Calibration(math.exp(float(found.x)), len(decisions))


def fit_isotonic(decisions: Sequence[LabelledDecision]) -> Calibration:
    """Fit a curve that never falls: the share of right decisions over the leader's probability.

    Args:
        decisions: At least one.

    Returns:
        The calibration. Its outputs keep away from 0 and 1 as far as one more decision of the other kind would bring
        them (Laplace's rule of succession over all of them): no sample proves certainty.
    """
    uncalibrated = Calibration()
    scored = [decision.scored(uncalibrated) for decision in decisions]
    least = 1 / (len(decisions) + 2)
    regression = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip")
    regression.fit([turn.confidence for turn in scored], [float(turn.is_right) for turn in scored])
    inputs = np.unique(np.concatenate([[0.0], regression.X_thresholds_, [1.0]]))
    outputs = regression.predict(inputs)
    return Calibration(1.0, len(decisions), IsotonicMap(tuple(inputs.tolist()), tuple(outputs.tolist())))


FITS: Mapping[str, Fit] = {"temperature": fit_temperature, "isotonic": fit_isotonic}
"""The simpler one first."""
