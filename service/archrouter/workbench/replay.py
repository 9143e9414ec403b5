"""Deciding logged decisions again from their probabilities: what thresholds, models and fallbacks alone change.

A log keeps the most probable candidates only. What the others have together is known, so a decision is made again for
each way in which they could share it that matters; where these disagree, nothing is said. Extreme ways are enough: a
domain's sum is highest when all of the rest is its own, and each rival's, no match's included, when it has the rest.
What a shadow decided by the new set beside the call needs no arithmetic.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from archrouter.decision_log.record import DecisionRecord
from archrouter.domain.decision import Choice, DecisionRule, Stickiness, TurnKind
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.posterior import decide
from archrouter.workbench.impact import ComparedTurn, Side
from archrouter.workbench.policies import Pair

OTHER_SET = "of policy sets that are not compared"
OTHER_REVISION = "decided by another revision than OLD"
OTHER_WORDING = "NEW has other routes, descriptions or examples than OLD: its probabilities are not in the log"
HIDDEN_SPLIT = "hinges on how the candidates that the log leaves out share their probability"
NOT_REPRODUCED = "OLD does not give the logged decision: the server had another default threshold"

_NEGLIGIBLE = 1e-9


@dataclass(frozen=True, slots=True)
class Replayed:
    """Decisions under both sets, and those of which nothing can be said, counted by the reason."""

    turns: tuple[ComparedTurn, ...]
    unknown: Mapping[str, int]


def same_wording(old: PolicySet, new: PolicySet) -> bool:
    """Say whether a model reads the same of both: routes in their order, descriptions and examples."""
    return [_wording(route) for route in old.routes] == [_wording(route) for route in new.routes]


def replay(records: Sequence[DecisionRecord], pairs: Mapping[str, Pair], default_min_confidence: float) -> Replayed:
    """Decide again.

    Args:
        records: Logged decisions.
        pairs: Sets by the old one's id.
        default_min_confidence: The server's ``routing.default_min_confidence``, in [0, 1].

    Returns:
        A turn, or a reason for its absence, for each record. O(records * routes * domains) at worst.
    """
    readable = {name: same_wording(pair.old, pair.new) for name, pair in pairs.items()}
    turns: list[ComparedTurn] = []
    unknown: Counter[str] = Counter()
    for record in records:
        pair = pairs.get(record.policy_set)
        if pair is None:
            unknown[OTHER_SET] += 1
        elif record.policy_set_revision != pair.old.revision:
            unknown[OTHER_REVISION] += 1
        elif (shadow := _shadow_side(record, pair)) is not None:
            turns.append(_turn(record, shadow))
        elif not readable[record.policy_set]:
            unknown[OTHER_WORDING] += 1
        else:
            after = _again(record, pair, default_min_confidence)
            if isinstance(after, Side):
                turns.append(_turn(record, after))
            else:
                unknown[after] += 1
    return Replayed(tuple(turns), unknown)


def logged_side(record: DecisionRecord) -> Side:
    """Return what was decided."""
    return Side(record.outcome, record.route_id, record.models[0] if record.models else "", record.confidence)


def _shadow_side(record: DecisionRecord, pair: Pair) -> Side | None:
    """Return what the new set decided beside the call, by the same model; None where it did not."""
    shadow, expected = record.shadow, (pair.new.revision, record.model_version)
    if shadow is None or (shadow.policy_set_revision, shadow.model_version) != expected:
        return None
    return Side(shadow.outcome, shadow.route_id, shadow.models[0] if shadow.models else "", shadow.confidence)


def _turn(record: DecisionRecord, after: Side) -> ComparedTurn:
    messages = record.conversation.messages
    return ComparedTurn(
        id=record.decision_id,
        policy_set_id=record.policy_set,
        before=logged_side(record),
        after=after,
        text=messages[-1].content if messages else "",
        input_tokens=record.usage.prompt_token_count,
    )


def _again(record: DecisionRecord, pair: Pair, default_min_confidence: float) -> Side | str:
    """Decide under the new set; the reason where that cannot be known."""
    rule = DecisionRule(
        record.rule.min_confidence,
        default_min_confidence,
        Stickiness(record.rule.previous_route_id, TurnKind(record.rule.turn_kind), record.rule.switch_margin),
    )
    ways = list(_ways(record, pair.old))
    if (record.outcome, record.route_id) not in [_answer(decide(pair.old, way, rule)) for way in ways]:
        return NOT_REPRODUCED
    if _thresholds(pair.old) == _thresholds(pair.new):
        return _side(record.outcome, pair.new.route(record.route_id), record.confidence, pair.new)
    choices = [decide(pair.new, way, rule) for way in ways]
    if len({_answer(choice) for choice in choices}) > 1:
        return HIDDEN_SPLIT
    return _side(choices[0].outcome.value, choices[0].route, choices[0].confidence, pair.new)


def _side(outcome: str, route: RoutePolicy | None, confidence: float, policy_set: PolicySet) -> Side:
    models = route.models if route else policy_set.fallback_models
    return Side(outcome, route.id if route else "", models[0].model, confidence)


def _thresholds(policy_set: PolicySet) -> list[float | None]:
    return [policy_set.min_confidence, *(route.min_confidence for route in policy_set.routes)]


def _answer(choice: Choice) -> tuple[str, str]:
    return choice.outcome.value, choice.route.id if choice.route else ""


def _ways(record: DecisionRecord, policy_set: PolicySet) -> Iterator[NDArray[np.float64]]:
    """List the probabilities that the log allows and that matter: the rest at no one, at each domain, at no match."""
    index_of = {route.id: index for index, route in enumerate(policy_set.routes)} | {"": len(policy_set.routes)}
    known = np.zeros(len(index_of))
    for candidate in record.candidates:
        known[index_of[candidate.route_id]] = candidate.probability
    hidden = [index for name, index in index_of.items() if name not in {one.route_id for one in record.candidates}]
    rest = max(0.0, 1.0 - float(known.sum()))
    yield known
    if not hidden or rest < _NEGLIGIBLE:
        return
    most = min(one.probability for one in record.candidates)  # a hidden candidate has no more than the last listed
    groups: dict[str | None, list[int]] = {}
    for index in hidden:
        domain = policy_set.routes[index].domain if index < len(policy_set.routes) else None
        groups.setdefault(domain, []).append(index)
    for members in groups.values():
        way = known.copy()
        way[members] = min(rest / len(members), most)
        yield way


def _wording(route: RoutePolicy) -> RoutePolicy:
    """Leave out what a model does not read."""
    return replace(route, models=(), min_confidence=None)
