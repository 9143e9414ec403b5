"""The posterior over candidates: normalised, calibrated to probabilities that hold, and decided by.

Candidates are the routes in policy order, then the no-match answer. Everything here is linear in their number.

A calibration is fitted on labelled conversations of one model version. Both maps divide the log-probabilities by a
temperature (Guo et al. 2017, arXiv 1706.04599) and so keep the order of the candidates and a sum of 1:

- a temperature: the same for every decision;
- an isotonic map (Zadrozny and Elkan 2002, "Transforming classifier scores into accurate multiclass probability
  estimates"): a rising curve over the leader's probability; each decision gets the temperature that leads there.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.decision import (
    Candidate,
    CandidateKind,
    Choice,
    DecisionReason,
    DecisionRule,
    Outcome,
    Stickiness,
    TurnKind,
)
from archrouter.domain.errors import BackendProtocolError
from archrouter.domain.policy import PolicySet, RoutePolicy

MIN_SHARPNESS, MAX_SHARPNESS = 0.05, 20.0
"""Bounds of 1 / temperature for a single decision: a curve may ask for what no temperature gives, such as less than an
even share, or more than half of two equal candidates."""

KEPT_FOR = {
    TurnKind.USER: DecisionReason.KEPT_BY_SWITCH_MARGIN,
    TurnKind.TOOL_RESULT: DecisionReason.KEPT_FOR_TOOL_RESULT,
    TurnKind.RETRY: DecisionReason.KEPT_FOR_RETRY,
}
"""Why a previous route was kept, by what made the caller ask."""

_BISECTIONS = 26
"""Halvings of the range between the bounds, on a logarithmic scale: enough for a relative error below 1e-7."""


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """A normalised distribution over the candidates, as the model gave it, before calibration.

    Attributes:
        log_probabilities: float64 [C], natural log; ``exp`` of them sums to 1 within 1e-6.
        exact: bool [C]; False where a value is an even share of a larger mass the model was not asked to split.
    """

    log_probabilities: NDArray[np.float64]
    exact: NDArray[np.bool_]


def posterior_from_scores(scores: NDArray[np.float32]) -> Posterior:
    """Normalise independent scores.

    Args:
        scores: float32 [C], C >= 2, logits: natural log up to a common constant. The last is no match.

    Returns:
        The softmax of the scores, every entry exact.

    Raises:
        BackendProtocolError: When a score is not finite, because no decision can rest on it.
    """
    if not np.isfinite(scores).all():
        msg = f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite"
        raise BackendProtocolError(msg)
    return Posterior(log_softmax(scores.astype(np.float64)), np.ones(scores.shape, dtype=np.bool_))


def log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalise logits without overflow.

    Args:
        scores: float64 [C], C >= 1, natural log up to a constant; ``-inf`` means impossible, one must be finite.

    Returns:
        float64 [C], natural-log probabilities.
    """
    shifted = scores - scores.max()
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return normalised


@dataclass(frozen=True, slots=True)
class IsotonicMap:
    """A piecewise-linear, nowhere falling map of the leader's probability.

    Attributes:
        inputs: Probabilities at the knots, rising from exactly 0 to exactly 1.
        outputs: The calibrated ones, as many, in [0, 1], none below the one before it.
    """

    inputs: tuple[float, ...]
    outputs: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse a curve that falls somewhere: more confidence must not become less."""
        if len(self.inputs) != len(self.outputs):
            msg = f"isotonic map has {len(self.inputs)} inputs and {len(self.outputs)} outputs; a knot has one of both"
            raise ValueError(msg)
        # Each condition is written so that NaN, which compares false, breaks it.
        if not all(left < right for left, right in pairwise(self.inputs)):
            msg = "isotonic map: inputs must rise from each knot to the next"
            raise ValueError(msg)
        if (*self.inputs[:1], *self.inputs[-1:]) != (0.0, 1.0):
            msg = "isotonic map: inputs must lead from 0 to 1"
            raise ValueError(msg)
        if not all(left <= right for left, right in pairwise((0.0, *self.outputs, 1.0))):
            msg = "isotonic map: outputs must be in [0, 1] and must not fall from a knot to the next"
            raise ValueError(msg)

    def sharpness(self, log_probabilities: NDArray[np.float64]) -> float:
        """Find what to multiply log-probabilities by, so that the leader's probability becomes that of the curve.

        Args:
            log_probabilities: float64 [C], natural log, normalised.

        Returns:
            1 / temperature, in [`MIN_SHARPNESS`, `MAX_SHARPNESS`]. O(C).
        """
        leader = float(log_probabilities.max())
        target = float(np.interp(math.exp(leader), self.inputs, self.outputs))
        gaps = log_probabilities - leader
        low, high = math.log(MIN_SHARPNESS), math.log(MAX_SHARPNESS)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            # The leader's probability, which grows with the sharpness.
            if 1 / np.exp(gaps * math.exp(middle)).sum() < target:
                low = middle
            else:
                high = middle
        return math.exp((low + high) / 2)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted calibration.

    Attributes:
        temperature: > 0; above 1 it flattens an over-confident model.
        sample_count: Labelled decisions it was fitted on; 0 means not calibrated.
        isotonic: Applied after the temperature; None for a temperature alone.
    """

    temperature: float = 1.0
    sample_count: int = 0
    isotonic: IsotonicMap | None = None

    def __post_init__(self) -> None:
        """Refuse values that no fit can produce."""
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            msg = f"calibration temperature is {self.temperature}; it must be a finite number above 0"
            raise ValueError(msg)
        if self.sample_count < 0:
            msg = f"calibration sample_count is {self.sample_count}; it must not be negative"
            raise ValueError(msg)

    @property
    def is_fitted(self) -> bool:
        """Whether labelled decisions stand behind the calibration."""
        return self.sample_count > 0

    def apply(self, posterior: Posterior) -> NDArray[np.float64]:
        """Calibrate a posterior.

        Args:
            posterior: Over C candidates, as the model gave it.

        Returns:
            float64 [C], probabilities that sum to 1 within 1e-6; the candidates keep their order.
        """
        log_probabilities = log_softmax(posterior.log_probabilities / self.temperature)
        if self.isotonic is not None:
            log_probabilities = log_softmax(log_probabilities * self.isotonic.sharpness(log_probabilities))
        return np.exp(log_probabilities)


def decide(policy_set: PolicySet, probabilities: NDArray[np.float64], rule: DecisionRule) -> Choice:
    """Turn probabilities into an outcome. O(routes).

    Args:
        policy_set: The N routes that were candidates, in order.
        probabilities: float64 [N + 1], calibrated, sums to 1; the last is no match.
        rule: Thresholds and stickiness.

    Returns:
        The choice; ties go to the route that comes first in the policy set, and to a route over no match.
    """
    kept = _kept_route(policy_set, probabilities, rule.stickiness)
    if kept is not None:
        reasons = (KEPT_FOR[rule.stickiness.turn_kind],)
        return Choice(Outcome.MATCHED, policy_set.routes[kept], float(probabilities[kept]), reasons, kept=True)
    best = int(np.argmax(probabilities[:-1]))
    best_route = policy_set.routes[best]
    best_probability, no_match_probability = float(probabilities[best]), float(probabilities[-1])
    threshold, whose = threshold_of(rule, policy_set, best_route)
    reaches = best_probability >= threshold
    if reaches and best_probability >= no_match_probability:
        return Choice(Outcome.MATCHED, best_route, best_probability, (DecisionReason.ROUTE_LEADS, whose))
    missed = (DecisionReason.BELOW_THRESHOLD, whose)
    if not reaches:
        fallback = _domain_fallback(policy_set, probabilities, rule, missed)
        if fallback is not None:
            return fallback
    if no_match_probability > best_probability:
        return Choice(Outcome.NO_MATCH, None, no_match_probability, (DecisionReason.NO_MATCH_LEADS,))
    return Choice(Outcome.LOW_CONFIDENCE, None, best_probability, missed)


def ranked(policy_set: PolicySet, posterior: Posterior, probabilities: NDArray[np.float64]) -> tuple[Candidate, ...]:
    """List every candidate, most probable first.

    Args:
        policy_set: The N routes that were candidates, in order.
        posterior: Over them and no match, as the model gave it.
        probabilities: float64 [N + 1], the posterior calibrated.

    Returns:
        N + 1 candidates; the sort is stable, so ties keep policy order and no match comes last.
    """
    kinds = [CandidateKind.ROUTE] * len(policy_set.routes) + [CandidateKind.NO_MATCH]
    ids = [*(route.id for route in policy_set.routes), ""]
    values = (probabilities.tolist(), posterior.log_probabilities.tolist(), posterior.exact.tolist())
    return tuple(sorted(map(Candidate, kinds, ids, *values), key=attrgetter("probability"), reverse=True))


def threshold_of(rule: DecisionRule, policy_set: PolicySet, route: RoutePolicy) -> tuple[float, DecisionReason]:
    """Resolve the threshold of one route.

    Args:
        rule: Thresholds of request and server.
        policy_set: Holds the route.
        route: The route.

    Returns:
        The first there is, in [0, 1]: the request's, the route's, the policy set's, the server's; and which it is.
    """
    if rule.min_confidence is not None:
        return rule.min_confidence, DecisionReason.THRESHOLD_OF_REQUEST
    if route.min_confidence is not None:
        return route.min_confidence, DecisionReason.THRESHOLD_OF_ROUTE
    if policy_set.min_confidence is not None:
        return policy_set.min_confidence, DecisionReason.THRESHOLD_OF_POLICY_SET
    return rule.default_min_confidence, DecisionReason.THRESHOLD_OF_SERVER


def _kept_route(policy_set: PolicySet, probabilities: NDArray[np.float64], stickiness: Stickiness) -> int | None:
    previous = next((i for i, route in enumerate(policy_set.routes) if route.id == stickiness.previous_route_id), None)
    if previous is None:
        return None
    if stickiness.turn_kind is not TurnKind.USER:
        return previous
    leader = int(np.argmax(probabilities))
    lead = probabilities[leader] - probabilities[previous]
    return previous if leader != previous and lead < stickiness.switch_margin else None


def _domain_fallback(
    policy_set: PolicySet, probabilities: NDArray[np.float64], rule: DecisionRule, missed: tuple[DecisionReason, ...]
) -> Choice | None:
    """Pick the domain-level policy whose domain, summed over its routes, reaches its threshold and beats no match."""
    no_match_probability = float(probabilities[-1])
    candidates = [
        (mass, route)
        for mass, route in _domain_masses(policy_set, probabilities)
        if mass >= threshold_of(rule, policy_set, route)[0] and mass > no_match_probability
    ]
    if not candidates:
        return None
    mass, route = max(candidates, key=lambda candidate: candidate[0])
    reasons = (*missed, DecisionReason.DOMAIN_SUM, threshold_of(rule, policy_set, route)[1])
    return Choice(Outcome.DOMAIN_FALLBACK, route, min(mass, 1.0), reasons)


def _domain_masses(policy_set: PolicySet, probabilities: NDArray[np.float64]) -> Iterator[tuple[float, RoutePolicy]]:
    masses: dict[str, float] = {}
    for route, probability in zip(policy_set.routes, probabilities, strict=False):
        masses[route.domain] = masses.get(route.domain, 0.0) + float(probability)
    for route in policy_set.routes:
        if route.covers_domain:
            yield masses[route.domain], route
