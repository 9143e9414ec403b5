"""Cross-validation: what each map is worth on decisions it was not fitted on, and which one to take."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import GroupKFold

from archrouter.domain.posterior import Calibration, IsotonicMap
from archrouter.domain.scoring import CalibrationReference
from engine.calibrate.decisions import Choice, LabelledDecision, Measured, measure

TEMPERATURES = (0.05, 20.0)
"""A model that needs one outside is broken, not miscalibrated."""

Fit = Callable[[Sequence[LabelledDecision]], Calibration]


def fit_temperature(decisions: Sequence[LabelledDecision]) -> Calibration:
    """Find the temperature with the least log loss."""

    def loss(log_temperature: float) -> float:
        calibration = Calibration(math.exp(log_temperature))
        return sum(decision.log_loss(calibration) for decision in decisions)

    low, high = map(math.log, TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return Calibration(math.exp(float(found.x)), len(decisions))


def fit_isotonic(decisions: Sequence[LabelledDecision]) -> Calibration:
    """Fit a curve that never falls: the share of right decisions over the leader's probability."""
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

MIN_DECISIONS = 200
"""With fewer, chance moves every figure by more than a calibration would."""

Progress = Callable[[str, int, int], None]


def choose(decisions: Sequence[LabelledDecision], *, fold_count: int, on_progress: Progress) -> Choice:
    """Cross-validate both maps and fit the better one on everything.

    A conversation is in one of the parts, so that no map is tested on its neighbours. The isotonic map is chosen only
    where its Brier score is lower than the temperature's by more than one standard error of their paired differences,
    and its log loss is not higher by more than one. Too few decisions or conversations raise ValueError.
    """
    conversations = [decision.conversation_id for decision in decisions]
    _check_enough(len(decisions), len(set(conversations)), fold_count)
    folds = list(GroupKFold(fold_count).split(np.zeros(len(decisions)), groups=np.array(conversations)))
    cross_validated = {kind: _cross_validated(decisions, kind, folds, on_progress) for kind in FITS}
    kind, reason = _better(cross_validated["temperature"], cross_validated["isotonic"])
    calibration = FITS[kind](decisions)
    return Choice(
        kind=kind,
        calibration=calibration,
        reference=CalibrationReference.of([calibration.apply(decision.posterior) for decision in decisions]),
        uncalibrated=measure(decisions, [Calibration()] * len(decisions)),
        cross_validated=cross_validated,
        fold_count=fold_count,
        conversation_count=len(set(conversations)),
        reason=reason,
    )


def _check_enough(decision_count: int, conversation_count: int, fold_count: int) -> None:
    if decision_count < MIN_DECISIONS:
        msg = f"{decision_count} labelled decisions are too few; {MIN_DECISIONS} are needed"
        raise ValueError(msg)
    if conversation_count < fold_count:
        msg = f"{conversation_count} conversations cannot be cut into {fold_count} parts; give a smaller --folds"
        raise ValueError(msg)


def _cross_validated(
    decisions: Sequence[LabelledDecision],
    kind: str,
    folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    on_progress: Progress,
) -> Measured:
    """Measure each decision under the map that was fitted on the other parts."""
    applied = [Calibration()] * len(decisions)
    for number, (train, test) in enumerate(folds, start=1):
        calibration = FITS[kind]([decisions[index] for index in train])
        for index in test:
            applied[index] = calibration
        on_progress(f"fitting {kind}", number, len(folds))
    return measure(decisions, applied)


def _better(temperature: Measured, isotonic: Measured) -> tuple[str, str]:
    brier_gain, brier_error = _gain(temperature.squared_errors, isotonic.squared_errors)
    loss_gain, loss_error = _gain(temperature.log_losses, isotonic.log_losses)
    kind = "isotonic" if brier_gain > brier_error and loss_gain > -loss_error else "temperature"
    return kind, (
        f"the isotonic map lowers the Brier score by {brier_gain:.4f} (standard error {brier_error:.4f}) "
        f"and the log loss by {loss_gain:.4f} (standard error {loss_error:.4f})"
    )


def _gain(before: NDArray[np.float64], after: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean of paired differences and its standard error."""
    differences = before - after
    return float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(len(differences))
