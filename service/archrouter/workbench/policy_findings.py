"""What verdicts say about the wording of a policy set. Pure counting: every finding can be checked by eye."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

from archrouter.domain.policy import PolicySet
from archrouter.workbench.policy_cases import Asked

MIN_EVIDENCE = 2
"""Conversations that must show a defect: one alone may be an odd conversation."""

MIN_CONFUSED_SHARE = 0.2
"""Of the conversations of two routes, those that went to the other one, from which the two are confused."""

MIN_LOST_SHARE = 0.5
"""Of a catch-all's conversations, those that no match took."""

MIN_ROUTES_CAUGHT = 3
"""Other routes that lose conversations to one route, from which it is that one's wording and no single border."""

MIN_TOPICS_CAUGHT = 8
"""Topics of the neutral bank that one route takes requests of: a route that is really about something has a few."""


class Kind(StrEnum):
    """What is wrong."""

    CONFUSED_PAIR = "confused pair"
    NEVER_WINS = "never wins"
    CATCHES_OTHERS = "catches others"
    LOSES_TO_NO_MATCH = "loses to no match"
    SHORTER_IS_BETTER = "shorter is better"


@dataclass(frozen=True, slots=True)
class PolicyFinding:
    """One defect, with the conversations that show it.

    Attributes:
        kind: What is wrong.
        route_ids: The routes it is about: two that are confused, otherwise one.
        evidence: The conversations that show it.
        case_count: The conversations that could have shown it.
    """

    kind: Kind
    route_ids: tuple[str, ...]
    evidence: tuple[Asked, ...]
    case_count: int


def diagnose(policy_set: PolicySet, asked: Sequence[Asked]) -> tuple[PolicyFinding, ...]:
    """Find what the verdicts show.

    Args:
        policy_set: The set that was asked.
        asked: Conversations with their verdicts.

    Returns:
        Findings by kind, within a kind in the order of the routes. O(routes² + conversations).
    """
    return (
        *_confused_pairs(policy_set, asked),
        *_never_winning(policy_set, asked),
        *_catching(policy_set, asked),
        *_losing_catch_alls(policy_set, asked),
    )


def untested(policy_set: PolicySet, asked: Iterable[Asked]) -> tuple[str, ...]:
    """List the routes with fewer than `MIN_EVIDENCE` conversations of their own: nothing can be said of them."""
    own = _by_expected(asked)
    return tuple(route.id for route in policy_set.routes if len(own[route.id]) < MIN_EVIDENCE)


def _by_expected(asked: Iterable[Asked]) -> defaultdict[str, list[Asked]]:
    own: defaultdict[str, list[Asked]] = defaultdict(list)
    for each in asked:
        if each.case.is_labelled:
            own[each.case.expected].append(each)
    return own


def _confused_pairs(policy_set: PolicySet, asked: Sequence[Asked]) -> Iterator[PolicyFinding]:
    own = _by_expected(asked)
    swapped: defaultdict[frozenset[str], list[Asked]] = defaultdict(list)
    for each in asked:
        if each.case.is_labelled and each.case.expected and each.verdict.winner and not each.is_right:
            swapped[frozenset((each.case.expected, each.verdict.winner))].append(each)
    for one, other in combinations([route.id for route in policy_set.routes], 2):
        evidence = swapped.get(frozenset((one, other)), ())
        case_count = len(own[one]) + len(own[other])
        if len(evidence) >= MIN_EVIDENCE and len(evidence) >= MIN_CONFUSED_SHARE * case_count:
            yield PolicyFinding(Kind.CONFUSED_PAIR, (one, other), tuple(evidence), case_count)


def _never_winning(policy_set: PolicySet, asked: Sequence[Asked]) -> Iterator[PolicyFinding]:
    # A stray neutral request that it takes does not make it useful.
    own, winners = _by_expected(asked), {each.verdict.winner for each in asked if each.case.is_labelled}
    for route in policy_set.routes:
        evidence = own[route.id]
        if len(evidence) >= MIN_EVIDENCE and route.id not in winners and not (route.covers_domain and _lost(evidence)):
            yield PolicyFinding(Kind.NEVER_WINS, (route.id,), tuple(evidence), len(evidence))


def _losing_catch_alls(policy_set: PolicySet, asked: Sequence[Asked]) -> Iterator[PolicyFinding]:
    own = _by_expected(asked)
    for route in policy_set.routes:
        if route.covers_domain and (evidence := _lost(own[route.id])):
            yield PolicyFinding(Kind.LOSES_TO_NO_MATCH, (route.id,), evidence, len(own[route.id]))


def _lost(own: Sequence[Asked]) -> tuple[Asked, ...]:
    """Return the conversations that no match took, where they are many enough to say so."""
    lost = tuple(each for each in own if not each.verdict.winner)
    return lost if len(lost) >= MIN_EVIDENCE and len(lost) >= MIN_LOST_SHARE * len(own) else ()


def _catching(policy_set: PolicySet, asked: Sequence[Asked]) -> Iterator[PolicyFinding]:
    for route in policy_set.routes:
        others = [each for each in asked if not each.case.is_labelled or each.case.expected != route.id]
        caught = [each for each in others if _is_caught(each, route.id)]
        routes = {each.case.expected for each in caught if each.case.expected}
        topics = {each.case.topic for each in caught if not each.case.is_labelled}
        unmatched = [each for each in caught if each.case.is_labelled and not each.case.expected]
        labelled_unmatched = sum(each.case.is_labelled and not each.case.expected for each in others)
        takes_unmatched = len(unmatched) >= MIN_EVIDENCE and len(unmatched) >= MIN_CONFUSED_SHARE * labelled_unmatched
        if len(routes) >= MIN_ROUTES_CAUGHT or len(topics) >= MIN_TOPICS_CAUGHT or takes_unmatched:
            yield PolicyFinding(Kind.CATCHES_OTHERS, (route.id,), tuple(caught), len(others))


def _is_caught(asked: Asked, route_id: str) -> bool:
    """Say whether the route took it; what is meant for no route, or for nobody knows which, it must have been given."""
    return route_id == (asked.verdict.winner if asked.case.expected else asked.verdict.decided)
