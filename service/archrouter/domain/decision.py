"""Decisions, and how calibrated probabilities become one: thresholds, domain back-off and stickiness."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.posterior import Posterior
from archrouter.domain.scoring import BackendProfile, Usage
from archrouter.domain.warnings import DecisionWarning


class Outcome(Enum):
    """What a decision says."""

    MATCHED = "matched"
    DOMAIN_FALLBACK = "domain_fallback"
    NO_MATCH = "no_match"
    LOW_CONFIDENCE = "low_confidence"


class CandidateKind(Enum):
    """What a candidate stands for."""

    ROUTE = "route"
    NO_MATCH = "no_match"


class TurnKind(Enum):
    """What made the caller ask: a new user turn, a tool's result, or a retry of the same turn."""

    USER = "user"
    TOOL_RESULT = "tool_result"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Stickiness:
    """What keeps an agent loop from flipping between models; all of it comes with the request.

    Attributes:
        previous_route_id: Route of the conversation's last decision; empty when there is none. A route that the
            policy set no longer has is ignored.
        turn_kind: A tool result or a retry keeps the previous route.
        switch_margin: In [0, 1]. On a user turn another candidate takes over only when its probability leads the
            previous route's by at least this much; 0 always lets the leader win.
    """

    previous_route_id: str = ""
    turn_kind: TurnKind = TurnKind.USER
    switch_margin: float = 0.0


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """The thresholds of one decision.

    Attributes:
        min_confidence: Threshold of this request in [0, 1], over every other; None leaves it to the policies.
        default_min_confidence: Threshold in [0, 1] where neither request, route nor policy set has one.
        stickiness: Whether and when the previous route is kept.
    """

    min_confidence: float | None = None
    default_min_confidence: float = 0.0
    stickiness: Stickiness = field(default_factory=Stickiness)

    def threshold(self, policy_set: PolicySet, route: RoutePolicy) -> float:
        """Resolve the threshold of one route, in [0, 1]: request, route, policy set, server, in this order."""
        for threshold in (self.min_confidence, route.min_confidence, policy_set.min_confidence):
            if threshold is not None:
                return threshold
        return self.default_min_confidence


@dataclass(frozen=True, slots=True)
class Choice:
    """What `decide` chose: the part of a decision that rests on probabilities alone.

    Attributes:
        outcome: What was decided.
        route: The chosen policy; None for NO_MATCH and LOW_CONFIDENCE.
        confidence: Calibrated probability in [0, 1] of what stands behind the outcome: the route (MATCHED), the
            mass of its domain (DOMAIN_FALLBACK), no match (NO_MATCH), or the best route that missed its threshold
            (LOW_CONFIDENCE).
        kept: Whether stickiness kept the previous route.
    """

    outcome: Outcome
    route: RoutePolicy | None
    confidence: float
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible answer and its probability.

    Attributes:
        kind: A route, or no match.
        route_id: Id of the route; empty for no match.
        probability: Calibrated, in [0, 1].
        log_probability: Raw, natural log, before calibration, <= 0.
        exact: False where the value is an even share of a mass the model was not asked to split.
    """

    kind: CandidateKind
    route_id: str
    probability: float
    log_probability: float
    exact: bool


@dataclass(frozen=True, slots=True)
class DecisionTimes:
    """Where the time of one decision went, in seconds >= 0."""

    total_s: float
    tokenize_s: float
    queue_s: float
    inference_s: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer.

    Attributes:
        decision_id: Id under which it is known everywhere.
        outcome: What was decided.
        route: The chosen policy; None for NO_MATCH and LOW_CONFIDENCE.
        models: Models to use, best first; the set's fallback where no route was chosen. Never empty.
        confidence: Calibrated probability of what stands behind the outcome, in [0, 1].
        candidates: Every candidate, most probable first; ties in policy order, no match last.
        policy_set: The set that decided.
        inline: Whether the set came with the request.
        profile: The model that decided.
        kept: Whether stickiness kept the previous route.
        warnings: What the reader should know.
        usage: What the decision cost.
        times: Where the time went.
    """

    decision_id: str
    outcome: Outcome
    route: RoutePolicy | None
    models: tuple[ModelTarget, ...]
    confidence: float
    candidates: tuple[Candidate, ...]
    policy_set: PolicySet
    inline: bool
    profile: BackendProfile
    kept: bool
    warnings: tuple[DecisionWarning, ...]
    usage: Usage
    times: DecisionTimes


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
        return Choice(Outcome.MATCHED, policy_set.routes[kept], float(probabilities[kept]), kept=True)
    best = int(np.argmax(probabilities[:-1]))
    best_route = policy_set.routes[best]
    best_probability, no_match_probability = float(probabilities[best]), float(probabilities[-1])
    reaches = best_probability >= rule.threshold(policy_set, best_route)
    if reaches and best_probability >= no_match_probability:
        return Choice(Outcome.MATCHED, best_route, best_probability)
    if not reaches:
        fallback = _domain_fallback(policy_set, probabilities, rule)
        if fallback is not None:
            return fallback
    if no_match_probability > best_probability:
        return Choice(Outcome.NO_MATCH, None, no_match_probability)
    return Choice(Outcome.LOW_CONFIDENCE, None, best_probability)


def ranked(policy_set: PolicySet, posterior: Posterior, probabilities: NDArray[np.float64]) -> tuple[Candidate, ...]:
    """List every candidate, most probable first.

    Args:
        policy_set: The N routes that were candidates, in order.
        posterior: Over them and no match, as the model gave it.
        probabilities: float64 [N + 1], the posterior calibrated.

    Returns:
        N + 1 candidates; the sort is stable, so ties keep policy order and no match comes last.
    """
    route_ids = [route.id for route in policy_set.routes]
    return tuple(
        Candidate(
            kind=CandidateKind.ROUTE if index < len(route_ids) else CandidateKind.NO_MATCH,
            route_id=route_ids[index] if index < len(route_ids) else "",
            probability=float(probabilities[index]),
            log_probability=float(posterior.log_probabilities[index]),
            exact=bool(posterior.exact[index]),
        )
        for index in np.argsort(-probabilities, kind="stable")
    )


def _kept_route(policy_set: PolicySet, probabilities: NDArray[np.float64], stickiness: Stickiness) -> int | None:
    previous = next((i for i, route in enumerate(policy_set.routes) if route.id == stickiness.previous_route_id), None)
    if previous is None:
        return None
    if stickiness.turn_kind is not TurnKind.USER:
        return previous
    leader = int(np.argmax(probabilities))
    lead = probabilities[leader] - probabilities[previous]
    return previous if leader != previous and lead < stickiness.switch_margin else None


def _domain_fallback(policy_set: PolicySet, probabilities: NDArray[np.float64], rule: DecisionRule) -> Choice | None:
    """Pick the domain-level policy whose domain, summed over its routes, reaches its threshold and beats no match."""
    no_match_probability = float(probabilities[-1])
    candidates = [
        (mass, route)
        for mass, route in _domain_masses(policy_set, probabilities)
        if mass >= rule.threshold(policy_set, route) and mass > no_match_probability
    ]
    if not candidates:
        return None
    mass, route = max(candidates, key=lambda candidate: candidate[0])
    return Choice(Outcome.DOMAIN_FALLBACK, route, min(mass, 1.0))


def _domain_masses(policy_set: PolicySet, probabilities: NDArray[np.float64]) -> Iterator[tuple[float, RoutePolicy]]:
    masses: dict[str, float] = {}
    for route, probability in zip(policy_set.routes, probabilities, strict=False):
        masses[route.domain] = masses.get(route.domain, 0.0) + float(probability)
    for route in policy_set.routes:
        if route.covers_domain:
            yield masses[route.domain], route
