"""Why a decision fell as it did: the candidate next to it, and what each message contributed, by leaving it out."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from archrouter.application.ports import ScoringBackend
from archrouter.application.select_route import Explanation, MessageEffect, SelectRoute
from archrouter.domain.conversation import Conversation, Message, Role, read_indices
from archrouter.domain.decision import Candidate, CandidateKind, Choice, Outcome
from archrouter.domain.errors import ArchRouterError
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.posterior import decide
from archrouter.domain.scoring import Scoring, ScoringRequest, Tier, Usage

CALLS_AT_A_TIME = 4
"""Of one explanation: people wait for it, but it must not take every place of the inference server."""


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """A decision that somebody wants explained.

    Attributes:
        request: The question.
        policy_set: The N routes that were candidates.
        scoring: What the model answered.
        probabilities: float64 [N + 1], calibrated; the last is no match.
        choice: What was chosen.
        candidates: All of them, most probable first.
    """

    request: SelectRoute
    policy_set: PolicySet
    scoring: Scoring
    probabilities: NDArray[np.float64]
    choice: Choice
    candidates: tuple[Candidate, ...]


async def explain(
    decided: Decided,
    backend: ScoringBackend,
    probabilities_of: Callable[[PolicySet, Scoring], NDArray[np.float64]],
    *,
    max_message_count: int,
    timeout_s: float,
) -> tuple[Explanation, Usage]:
    """Explain a decision, as far as the time allows: the decision stands whatever becomes of its explanation.

    Args:
        decided: The decision.
        backend: Scores the conversation without one message, newest first; the same tier as decided.
        probabilities_of: Checks and calibrates an answer.
        max_message_count: Messages left out at most, each by a call to `backend`.
        timeout_s: Time for all of them, in seconds.

    Returns:
        The explanation, with the effects that were found until time ran out or the backend failed, and what the
        decision cost with the calls to the inference server that they took.
    """
    effects: dict[int, tuple[bool, MessageEffect]] = {}
    calls = 0
    waiting = iter(reversed(_indices_to_leave_out(decided, max_message_count)))

    async def leave_out() -> None:
        nonlocal calls
        for index in waiting:
            try:
                scoring = await backend.score(_request_without(decided, index), timeout_s=timeout_s)
                calls += scoring.usage.engine_call_count
                effects[index] = _effect(decided, index, probabilities_of(decided.policy_set, scoring))
            except ArchRouterError:
                return

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
            for _ in range(CALLS_AT_A_TIME):
                group.create_task(leave_out())
    found = [effects[index] for index in sorted(effects)]
    chosen = _chosen(decided)
    runner_up = next(one for one in decided.candidates if one is not chosen)
    explanation = Explanation(
        runner_up=runner_up,
        lead=decided.choice.confidence - runner_up.probability,
        message_effects=tuple(effect for _, effect in found),
        deciding_message_index=_deciding(found),
    )
    usage = decided.scoring.usage
    return explanation, replace(usage, engine_call_count=usage.engine_call_count + calls)


def _indices_to_leave_out(decided: Decided, max_message_count: int) -> Sequence[int]:
    """List the latest messages that the model read; the one question of a conversation cannot be left out."""
    messages = decided.request.messages
    read = read_indices(messages, to_the_question=decided.scoring.profile.tier is Tier.COMPACT)
    questions = [index for index in read_indices(messages, to_the_question=True) if _is_user(messages[index])]
    latest = read[decided.scoring.usage.dropped_message_count :][-max_message_count:]
    return [index for index in latest if len(questions) > 1 or index not in questions]


def _is_user(message: Message) -> bool:
    return message.role is Role.USER


def _request_without(decided: Decided, index: int) -> ScoringRequest:
    messages = decided.request.messages
    rest = Conversation.from_messages((*messages[:index], *messages[index + 1 :]))
    return ScoringRequest(decided.policy_set, rest, decided.request.overflow, only_tier=decided.scoring.profile.tier)


def _effect(decided: Decided, index: int, without: NDArray[np.float64]) -> tuple[bool, MessageEffect]:
    """Say what one message adds, and whether the decision changes without it."""
    choice = decide(decided.policy_set, without, decided.request.rule)
    changes = (choice.outcome, choice.route) != (decided.choice.outcome, decided.choice.route)
    change = decided.choice.confidence - _probability_of_chosen(decided, without)
    return changes, MessageEffect(index, change, bool(np.argmax(without) != np.argmax(decided.probabilities)))


def chosen_candidate(candidates: Sequence[Candidate], outcome: Outcome, route: RoutePolicy | None) -> Candidate:
    """Find what stands behind a decision's confidence.

    Args:
        candidates: All of them, most probable first.
        outcome: What was decided.
        route: The chosen route, if any.

    Returns:
        The route, no match, or the best route that missed its threshold.
    """
    if route is not None:
        return next(one for one in candidates if one.route_id == route.id)
    kind = CandidateKind.NO_MATCH if outcome is Outcome.NO_MATCH else CandidateKind.ROUTE
    return next(one for one in candidates if one.kind is kind)


def _chosen(decided: Decided) -> Candidate:
    return chosen_candidate(decided.candidates, decided.choice.outcome, decided.choice.route)


def _probability_of_chosen(decided: Decided, probabilities: NDArray[np.float64]) -> float:
    routes, chosen_id = decided.policy_set.routes, _chosen(decided).route_id
    if decided.choice.outcome is Outcome.DOMAIN_FALLBACK and decided.choice.route is not None:
        of_domain = [route.domain == decided.choice.route.domain for route in routes]
        return min(float(probabilities[:-1][of_domain].sum()), 1.0)
    return float(probabilities[next((i for i, route in enumerate(routes) if route.id == chosen_id), len(routes))])


def _deciding(effects: Sequence[tuple[bool, MessageEffect]]) -> int | None:
    """Pick the message without which the decision changes, or loses most; None where none costs anything."""
    costly = [(changes, effect) for changes, effect in effects if changes or effect.probability_change > 0]
    if not costly:
        return None
    return max(costly, key=lambda one: (one[0], one[1].probability_change))[1].message_index
