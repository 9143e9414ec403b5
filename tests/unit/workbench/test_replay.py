"""Deciding logged decisions again, against deciding the same messages again."""

from collections import Counter
from dataclasses import replace

from tests.support.logged_traffic import coloured_set, decisions, records, utterances

from archrouter.domain.policy import ModelTarget, PolicySet
from archrouter.workbench.policies import Pair
from archrouter.workbench.replay import (
    HIDDEN_SPLIT,
    NOT_REPRODUCED,
    OTHER_REVISION,
    OTHER_SET,
    OTHER_WORDING,
    replay,
)

COUNT = 200


async def _agreement(old: PolicySet, new: PolicySet) -> tuple[int, Counter[str]]:
    """Compare a replay of the log with decisions by the new set; the count of decisions that the replay knows."""
    texts = utterances(COUNT)
    replayed = replay(await records(old, texts), {old.id: Pair(old, new)}, 0.0)
    truth = {question.decision_id: decision for question, decision in await decisions(new, texts)}
    for turn in replayed.turns:
        decision = truth[turn.id]
        route_id = decision.route.id if decision.route else ""
        assert (decision.outcome.value, route_id, decision.models[0].model) == (
            turn.after.outcome,
            turn.after.route_id,
            turn.after.model,
        )
    return len(replayed.turns), Counter(replayed.unknown)


async def test_other_thresholds_are_decided_as_a_full_replay_does() -> None:
    """Whatever the log says of a new threshold is what routing the messages again gives; the rest is counted."""
    old = coloured_set(min_confidence=0.5)
    for threshold in (0.0, 0.2, 0.45, 0.6, 0.8, 0.95):
        known, unknown = await _agreement(old, coloured_set(min_confidence=threshold))

        assert COUNT == known + unknown[HIDDEN_SPLIT]
        assert 0.7 * COUNT < known


async def test_other_models_are_known_for_every_decision() -> None:
    """Where only models change, the decision is the logged one with the new models."""
    old, new = coloured_set(), replace(coloured_set(model="m/new"), fallback_models=(ModelTarget("m/none"),))

    assert (COUNT, Counter()) == await _agreement(old, new)


async def test_what_the_log_cannot_tell_is_counted_by_its_reason() -> None:
    """Another wording, revision, set or server's default is never guessed about."""
    old = coloured_set(min_confidence=None)
    reworded = replace(old, routes=(replace(old.routes[0], description="else"), *old.routes[1:]))
    lines = await records(old, utterances(40))

    assert {OTHER_WORDING: 40} == replay(lines, {old.id: Pair(old, reworded)}, 0.0).unknown
    assert {OTHER_REVISION: 40} == replay(lines, {old.id: Pair(reworded, reworded)}, 0.0).unknown
    assert {OTHER_SET: 40} == replay(lines, {"else": Pair(old, old)}, 0.0).unknown
    assert 0 < replay(lines, {old.id: Pair(old, old)}, 0.99).unknown[NOT_REPRODUCED]


async def test_what_the_shadow_decided_needs_no_arithmetic() -> None:
    """Other wordings are known for the decisions that the shadow made again, by the same sets and the same model."""
    old = coloured_set()
    new = replace(old, routes=(replace(old.routes[1], description="the colours gold and lime"), *old.routes[2:]))
    texts = utterances(20)
    truth = [decision for _, decision in await decisions(new, texts)]
    shadows = [line.shadow for line in await records(old, texts, shadows=truth)]
    lines = [
        line.model_copy(update={"shadow": shadow if index % 2 else None})
        for index, (line, shadow) in enumerate(zip(await records(old, texts), shadows, strict=True))
    ]

    replayed = replay(lines, {old.id: Pair(old, new)}, 0.0)

    assert {OTHER_WORDING: 10} == replayed.unknown
    assert [one.route_id for one in truth[1::2]] == [turn.after.route_id for turn in replayed.turns]
    assert any(turn.changes_route for turn in replayed.turns)
    assert 20 == replay(lines, {old.id: Pair(old, replace(new, min_confidence=0.1))}, 0.0).unknown[OTHER_WORDING]
