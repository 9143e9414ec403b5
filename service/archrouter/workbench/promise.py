"""Thresholds that keep a promise: of the turns that get a route, at most so many get a wrong one. Pure.

Each of a fixed ladder of thresholds is a hypothesis, "the error is above the promise", tested by the exact binomial
tail. Together they err with the promised doubt at most: each rung has an equal part of it, and a rung that is passed
hands its part to the next (Wiens 2003, the fallback procedure; Angelopoulos and others 2021, arXiv 2110.01052, for
choosing a threshold by such tests). The ladder is fixed beforehand, so that looking for the best rung costs nothing.

Cases are taken as independent and as drawn like the traffic that the promise is about.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.decision import Choice, DecisionRule, Outcome
from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.domain.posterior import decide
from archrouter.workbench.statistics import binomial_tail, upper_bound

LADDER = (0.99, 0.98, 0.97, 0.95, 0.92, 0.9, 0.87, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.0)
"""Thresholds that are tried, from the most careful; finer where promises are mostly kept."""


UNROUTED, RIGHT, WRONG = 0, 1, 2
"""What a threshold makes of a case."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A labelled turn with what the model said.

    Attributes:
        probabilities: float64 [N + 1], calibrated, the routes in policy order, then no match.
        expected: Id of the right route, or ``other``.
    """

    probabilities: NDArray[np.float64]
    expected: str


@dataclass(frozen=True, slots=True)
class Rung:
    """What one threshold does to the cases.

    Attributes:
        threshold: In [0, 1].
        case_count: Cases it was held against.
        routed_count: Those that get a route.
        error_count: Those that get a wrong one.
    """

    threshold: float
    case_count: int
    routed_count: int
    error_count: int

    @property
    def coverage(self) -> float:
        """Share of the cases that get a route."""
        return self.routed_count / self.case_count if self.case_count else 0.0

    @property
    def error(self) -> float | None:
        """Share of wrong routes among the chosen ones; None where none is."""
        return self.error_count / self.routed_count if self.routed_count else None

    def error_bound(self, doubt: float) -> float:
        """Bound the error from above, for this rung alone."""
        return upper_bound(self.error_count, self.routed_count, doubt) if self.routed_count else 1.0


@dataclass(frozen=True, slots=True)
class Search:
    """The whole ladder, and the rung that covers most while it keeps the promise; None where no rung keeps it."""

    rungs: tuple[Rung, ...]
    kept: Rung | None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Thresholds of a policy set.

    Attributes:
        whole: The ladder of the set's threshold, over the cases whose best route has none of its own.
        routes: That of each route with enough cases of its own, by id.
        policy_set: The set with the thresholds; None where the promise cannot be kept.
        total: What the set's decisions then come to on all cases; None likewise.
    """

    whole: Search
    routes: dict[str, Search]
    policy_set: PolicySet | None
    total: Rung | None


def with_threshold(policy_set: PolicySet, threshold: float) -> PolicySet:
    """Give a set one threshold for all its routes."""
    routes = tuple(
        replace(one, min_confidence=threshold) if one.min_confidence is not None else one for one in policy_set.routes
    )
    return replace(policy_set, routes=routes, min_confidence=threshold)


def find_thresholds(
    policy_set: PolicySet, cases: Sequence[Case], max_error: float, level: float, min_route_cases: int | None = None
) -> Thresholds:
    """Find the thresholds that route most while they keep the promise.

    Args:
        policy_set: The set that decides.
        cases: Labelled turns.
        max_error: The promise, in (0, 1).
        level: How surely it is to hold, in (0, 1).
        min_route_cases: Cases, whose best route it is, from which a route gets a promise and a threshold of its own;
            None for no such route. Only for sets without domain-level policies, whose sums join routes.

    Returns:
        The ladders and the set. O(rungs * cases * routes).
    """
    best = np.array([int(np.argmax(case.probabilities[:-1])) for case in cases])
    own: list[int] = []
    if min_route_cases is not None and not any(route.covers_domain for route in policy_set.routes):
        own = [index for index in range(len(policy_set.routes)) if np.sum(best == index) >= min_route_cases]
    doubt = (1 - level) / (len(own) + 1)
    verdicts = judge_ladder(policy_set, cases)
    whole = search_ladder(verdicts[:, ~np.isin(best, own)], max_error, doubt)
    routes = {policy_set.routes[index].id: search_ladder(verdicts[:, best == index], max_error, doubt) for index in own}
    searches = [*routes.values(), *([whole] if len(own) < len(policy_set.routes) else [])]
    if not all(search.kept for search in searches):
        return Thresholds(whole, routes, None, None)
    lowest = [search.kept.threshold for search in searches if search.kept]
    chosen = with_threshold(policy_set, whole.kept.threshold if whole.kept else max(lowest))
    own_thresholds = {route_id: search.kept.threshold for route_id, search in routes.items() if search.kept}
    chosen = replace(
        chosen,
        routes=tuple(
            replace(route, min_confidence=own_thresholds[route.id]) if route.id in own_thresholds else route
            for route in chosen.routes
        ),
    )
    return Thresholds(whole, routes, chosen, rung_of(chosen.min_confidence or 0.0, judge(chosen, cases)))


def judge(policy_set: PolicySet, cases: Sequence[Case]) -> NDArray[np.int8]:
    """Say what a set's own thresholds do to each case.

    Args:
        policy_set: The set.
        cases: C labelled turns.

    Returns:
        int8 [C], `UNROUTED`, `RIGHT` or `WRONG`. O(C * routes).
    """
    choices = [decide(policy_set, case.probabilities, DecisionRule()) for case in cases]
    verdicts = [
        UNROUTED if choice.route is None else RIGHT if is_right(choice, case.expected, policy_set) else WRONG
        for choice, case in zip(choices, cases, strict=True)
    ]
    return np.array(verdicts, dtype=np.int8)


def judge_ladder(policy_set: PolicySet, cases: Sequence[Case]) -> NDArray[np.int8]:
    """Say what each rung of `LADDER` does to each case: int8 [rungs, C] as in `judge`."""
    return np.stack([judge(with_threshold(policy_set, threshold), cases) for threshold in LADDER])


def rung_of(threshold: float, verdicts: NDArray[np.int8]) -> Rung:
    """Count the verdicts of one threshold, int8 [C]."""
    return Rung(threshold, verdicts.size, int(np.sum(verdicts != UNROUTED)), int(np.sum(verdicts == WRONG)))


def is_right(choice: Choice, expected: str, policy_set: PolicySet) -> bool:
    """Judge a choice: it is the expected route, or the policy of that route's domain, by falling back to it."""
    if choice.route is None:
        return expected == NO_MATCH_ID
    if choice.route.id == expected:
        return True
    right = policy_set.route(expected)
    return choice.outcome is Outcome.DOMAIN_FALLBACK and right is not None and right.domain == choice.route.domain


def least_case_count(max_error: float, level: float) -> int:
    """Count the routed cases, all of them right, that a set's promise takes at least."""
    return math.ceil(math.log((1 - level) / len(LADDER)) / math.log1p(-max_error))


def search_ladder(verdicts: NDArray[np.int8], max_error: float, doubt: float) -> Search:
    """Climb down the ladder.

    Args:
        verdicts: int8 [rungs, C], of `judge_ladder`.
        max_error: The promise, in (0, 1).
        doubt: Probability in (0, 1) with which the outcome may be wrong.

    Returns:
        Every rung, and the one that covers most while it keeps the promise. O(rungs * C).
    """
    rungs = tuple(rung_of(threshold, row) for threshold, row in zip(LADDER, verdicts, strict=True))
    kept, inherited = None, 0.0
    for rung in rungs:
        allowed = doubt / len(LADDER) + inherited
        passed = rung.routed_count > 0 and binomial_tail(rung.error_count, rung.routed_count, max_error) <= allowed
        inherited = allowed if passed else 0.0
        kept = rung if passed else kept
    return Search(rungs, kept)
