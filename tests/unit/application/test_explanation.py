"""An explanation leaves out one message at a time, as far as the time allows, and never costs the decision."""

import asyncio

import numpy as np
import pytest
from tests.support.fake_backend import FAKE_PROFILE, FakeBackend
from tests.support.fakes import FakeClock, FakeSource

from archrouter.application.policy_store import PolicyStore
from archrouter.application.router import RequestLimits, Router
from archrouter.application.select_route import Decision, Explanation, SelectRoute
from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import CandidateKind, DecisionReason, DecisionRule, Outcome, Stickiness, TurnKind
from archrouter.domain.errors import BackendUnavailableError
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.posterior import posterior_from_scores
from archrouter.domain.scoring import Scoring, ScoringRequest, StageTimes, Tier, Usage

MODELS = (ModelTarget("m"),)
SET = PolicySet(
    "trips",
    "",
    (
        RoutePolicy("travel_plan", "travel", "plan", "a journey", MODELS),
        RoutePolicy("travel_book", "travel", "book", "a ticket", MODELS),
        RoutePolicy("travel", "travel", "", "anything of a journey", MODELS),
        RoutePolicy("weather", "weather", "", "rain", MODELS),
    ),
    MODELS,
)
WEIGHT_OF_ROUTE = {"plan": 0, "book": 1, "trip": 2, "rain": 3, "nothing": 4}
"""Candidate that a word of any message speaks for."""


class Reader(FakeBackend):
    """A backend that reads every message: each word of it adds 1 to the score of the candidate it speaks for.

    Attributes:
        tier_asked: `only_tier` of every request.
        running: Calls at a time, at most.
        delay_s: How long a leave-out takes.
    """

    def __init__(self, delay_s: float = 0.0) -> None:
        """Answer at once, unless told otherwise."""
        super().__init__()
        self.tier_asked: list[Tier | None] = []
        self.running = self.most_running = 0
        self.delay_s = delay_s
        self.fails_from = 1000

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """Score by the words of all messages."""
        del timeout_s
        self.tier_asked.append(request.only_tier)
        self.requests.append(request)
        if len(self.requests) >= self.fails_from:
            text = "gone"
            raise BackendUnavailableError(text, retry_after_s=1)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        if len(self.requests) > 1:
            await asyncio.sleep(self.delay_s)
        self.running -= 1
        scores = np.zeros(5, dtype=np.float32)
        for message in request.conversation.messages:
            for word in message.content.split():
                scores[WEIGHT_OF_ROUTE.get(word, [])] += 1
        usage = Usage(prompt_token_count=1, engine_call_count=1)
        return Scoring(posterior_from_scores(scores), FAKE_PROFILE, usage, StageTimes())


def said(*texts: str) -> tuple[Message, ...]:
    """Make a conversation: ``a:`` before what the assistant says, ``t:`` before a tool's result."""
    roles = {"a": Role.ASSISTANT, "t": Role.TOOL}
    return tuple(Message(roles[text[0]], text[2:]) if text[1:2] == ":" else Message(Role.USER, text) for text in texts)


async def decided(
    backend: FakeBackend, messages: tuple[Message, ...], rule: DecisionRule | None = None, budget_s: float = 30.0
) -> Decision:
    """Ask for an explained decision; at most three messages are left out."""
    store = PolicyStore(FakeSource(SET), backend, FakeClock(), default_id="")
    await store.reload()
    limits = RequestLimits(16, 100, 4, 4, max_explained_messages=3)
    router = Router(store, backend, FakeClock(), limits, min_budget_s=0.0, deadline_margin_s=0.0)
    request = SelectRoute("id", messages, rule=rule or DecisionRule(), explain=True)
    return await router.select_route(request, budget_s=budget_s)


def explanation_of(decision: Decision) -> Explanation:
    """Take the explanation, which must be there."""
    assert decision.explanation is not None
    return decision.explanation


async def test_the_message_without_which_the_decision_changes_is_the_deciding_one() -> None:
    """It is named by its index in the request, over messages the model never reads."""
    decision = await decided(Reader(), said("plan", "t:rain rain rain", "a:rain", "plan plan", "and"))

    explanation = explanation_of(decision)
    assert [2, 3] == [effect.message_index for effect in explanation.message_effects if effect.message_index != 4]
    assert 3 == explanation.deciding_message_index
    by_index = {effect.message_index: effect for effect in explanation.message_effects}
    assert by_index[3].probability_change > 0 > by_index[2].probability_change


async def test_a_message_that_carries_the_leader_is_said_to_change_it() -> None:
    """Without it another candidate is the most probable."""
    explanation = explanation_of(await decided(Reader(), said("rain", "plan plan", "and")))

    assert [False, True, False] == [effect.changes_leader for effect in explanation.message_effects]
    assert 1 == explanation.deciding_message_index


async def test_runner_up_and_lead_are_those_of_the_decision() -> None:
    """The candidate next to the chosen one, and how far it is behind."""
    decision = await decided(Reader(), said("plan plan rain"))

    explanation = explanation_of(decision)
    assert ("weather", "travel_plan") == (explanation.runner_up.route_id, decision.route.id if decision.route else "")
    assert explanation.lead == pytest.approx(decision.confidence - explanation.runner_up.probability)


async def test_a_kept_route_that_does_not_lead_is_behind_the_runner_up() -> None:
    """The lead says by how much the tool's result spared it from losing."""
    rule = DecisionRule(stickiness=Stickiness("weather", TurnKind.TOOL_RESULT))

    decision = await decided(Reader(), said("plan plan"), rule)

    assert explanation_of(decision).lead < 0
    assert "travel_plan" == explanation_of(decision).runner_up.route_id
    assert (DecisionReason.KEPT_FOR_TOOL_RESULT,) == decision.reasons


async def test_the_effect_on_a_domain_is_that_on_its_sum() -> None:
    """What decided was the mass of the domain, so that is what a message adds to."""
    decision = await decided(Reader(), said("plan book trip", "and"), DecisionRule(min_confidence=0.7))

    assert Outcome.DOMAIN_FALLBACK is decision.outcome
    first = explanation_of(decision).message_effects[0]
    assert first.probability_change == pytest.approx(decision.confidence - 3 / 5, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "threshold", "outcome", "runner_up"),
    [
        ("nothing nothing", 0.0, Outcome.NO_MATCH, CandidateKind.ROUTE),
        ("rain rain nothing", 0.99, Outcome.LOW_CONFIDENCE, CandidateKind.NO_MATCH),
    ],
)
async def test_a_decision_without_route_is_explained_as_well(
    text: str, threshold: float, outcome: Outcome, runner_up: CandidateKind
) -> None:
    """What stands behind the confidence counts as chosen: no match, or the best route that missed its threshold."""
    decision = await decided(Reader(), said(text, "and"), DecisionRule(min_confidence=threshold))

    explanation = explanation_of(decision)
    assert (outcome, runner_up) == (decision.outcome, explanation.runner_up.kind)
    assert explanation.lead > 0
    assert 0 == explanation.deciding_message_index


async def test_the_only_question_is_never_left_out() -> None:
    """Without it there is nothing to decide; where nothing else can go, no message is named."""
    backend = Reader()

    explanation = explanation_of(await decided(backend, said("plan")))

    assert ((), None) == (explanation.message_effects, explanation.deciding_message_index)
    assert 1 == len(backend.requests)


async def test_only_the_latest_messages_are_left_out_and_only_some_at_a_time() -> None:
    """The bound of the configuration holds, every call is counted, and the same tier is asked."""
    backend = Reader(delay_s=0.01)

    decision = await decided(backend, said("plan", "a:well", "plan", "a:so", "plan"))

    assert [2, 3, 4] == [effect.message_index for effect in explanation_of(decision).message_effects]
    assert 4 == decision.usage.engine_call_count == len(backend.requests)
    assert 1 < backend.most_running <= 4
    assert [None, *[Tier.COMPACT] * 3] == backend.tier_asked


async def test_messages_after_the_question_are_left_out_only_where_the_model_reads_them() -> None:
    """The compact tier reads no further than the latest user message."""
    explanation = explanation_of(await decided(Reader(), said("plan", "rain", "a:plan plan plan")))

    assert [0, 1] == [effect.message_index for effect in explanation.message_effects]


async def test_an_explanation_ends_with_the_time_of_the_call() -> None:
    """The decision arrives with what was found, within its budget, although each leave-out takes for ever."""
    async with asyncio.timeout(5):
        decision = await decided(Reader(delay_s=60), said("plan", "plan"), budget_s=0.2)

    assert Outcome.MATCHED is decision.outcome
    assert () == explanation_of(decision).message_effects
    assert 1 == decision.usage.engine_call_count


async def test_a_backend_that_fails_meanwhile_costs_the_explanation_and_not_the_decision() -> None:
    """What was found before stands."""
    backend = Reader()
    backend.fails_from = 3

    decision = await decided(backend, said("plan", "a:so", "plan"))

    assert Outcome.MATCHED is decision.outcome
    assert [2] == [effect.message_index for effect in explanation_of(decision).message_effects]


async def test_a_decision_nobody_wants_explained_costs_one_call() -> None:
    """Explanations are for people who ask why."""
    backend = Reader()
    store = PolicyStore(FakeSource(SET), backend, FakeClock(), default_id="")
    await store.reload()
    router = Router(store, backend, FakeClock(), RequestLimits(16, 100, 4, 4), min_budget_s=0.0, deadline_margin_s=0.0)

    decision = await router.select_route(SelectRoute("id", said("plan", "plan")), budget_s=1)

    assert (1, None) == (len(backend.requests), decision.explanation)
