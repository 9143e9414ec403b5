"""The use case from request to decision."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.fake_backend import FAKE_PROFILE, FakeBackend
from tests.support.fakes import FakeClock, FakeSource, make_set, promised

from archrouter.application.policy_store import PolicyStore
from archrouter.application.router import RequestLimits, Router
from archrouter.application.select_route import SelectRoute
from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import CandidateKind, DecisionReason, DecisionRule, Outcome, Stickiness, TurnKind
from archrouter.domain.errors import (
    BackendProtocolError,
    BackendUnavailableError,
    BudgetExceededError,
    InvalidRequestError,
    PolicySetRevisionNotFoundError,
)
from archrouter.domain.policy import ModelTarget
from archrouter.domain.posterior import Calibration, posterior_from_scores
from archrouter.domain.scoring import Scoring, ScoringRequest, StageTimes, Usage
from archrouter.domain.warnings import WarningCode

LIMITS = RequestLimits(max_messages=8, max_message_characters=100, max_batch_size=4, max_inline_routes=2)
CODE_QUESTION = (Message(Role.USER, "help me writing code"),)


class Scripted(FakeBackend):
    """A backend whose answer is given."""

    def __init__(self, scoring: Scoring) -> None:
        """Keep the answer."""
        super().__init__()
        self.scoring = scoring

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """Return the given answer."""
        del request, timeout_s
        return self.scoring


def scoring(*scores: float, usage: Usage | None = None, on_trie_mass: float = 1.0, fitted: bool = True) -> Scoring:
    """Build a backend's answer."""
    profile = replace(FAKE_PROFILE, calibration=Calibration(1.0, 100 if fitted else 0))
    posterior = posterior_from_scores(np.array(scores, dtype=np.float32))
    return Scoring(posterior, profile, usage or Usage(), StageTimes(), on_trie_mass)


async def make_router(backend: FakeBackend | None = None, *, source: FakeSource | None = None) -> Router:
    """Wire a router over one loaded set."""
    used = backend or FakeBackend()
    store = PolicyStore(source or FakeSource(make_set("code")), used, FakeClock(), default_id="")
    await store.reload()
    return Router(store, used, FakeClock(), LIMITS, min_budget_s=0.01, deadline_margin_s=0.001)


async def test_a_matching_conversation_gets_the_route_and_its_models() -> None:
    """The main job: route, models, confidence, and what decided."""
    decision = await (await make_router()).select_route(SelectRoute("id-1", CODE_QUESTION), budget_s=1)

    assert Outcome.MATCHED is decision.outcome
    assert ("id-1", "coding") == (decision.decision_id, decision.route.id if decision.route else None)
    assert "m/coder" == decision.models[0].model
    assert FAKE_PROFILE.model_version == decision.profile.model_version
    assert sum(c.probability for c in decision.candidates) == pytest.approx(1.0, abs=1e-6)


async def test_the_reasons_of_the_tier_come_before_those_of_the_choice() -> None:
    """A decision says first why this model was asked, then why its answer led here."""
    answer = replace(scoring(5.0, 1.0), reasons=(DecisionReason.COMPACT_SURE,))

    decision = await (await make_router(Scripted(answer))).select_route(SelectRoute("id", CODE_QUESTION), budget_s=1)

    assert DecisionRule() == decision.rule
    expected = (DecisionReason.COMPACT_SURE, DecisionReason.ROUTE_LEADS, DecisionReason.THRESHOLD_OF_SERVER)
    assert expected == decision.reasons


async def test_no_match_returns_the_fallback_models() -> None:
    """Callers need no branch: there is always a model to use."""
    router = await make_router()

    decision = await router.select_route(SelectRoute("id", (Message(Role.USER, "thanks, bye"),)), budget_s=1)

    assert Outcome.NO_MATCH is decision.outcome
    assert decision.route is None
    assert "m/general" == decision.models[0].model


async def test_candidates_are_ranked_with_ties_in_policy_order_and_no_match_last() -> None:
    """Equal probabilities keep the order of the policy set."""
    router = await make_router(Scripted(scoring(1.0, 1.0)))

    decision = await router.select_route(SelectRoute("id", CODE_QUESTION), budget_s=1)

    assert [CandidateKind.ROUTE, CandidateKind.NO_MATCH] == [c.kind for c in decision.candidates]
    assert ["coding", ""] == [c.route_id for c in decision.candidates]


async def test_a_valid_inline_set_decides() -> None:
    """A set that travels with the request is used without being loaded."""
    request = SelectRoute("id", CODE_QUESTION, inline_policy_set=make_set("inline"))

    decision = await (await make_router()).select_route(request, budget_s=1)

    assert "inline" == decision.policy_set.id
    assert decision.inline


async def test_a_deadline_too_short_is_refused_before_any_work() -> None:
    """The backend is not asked when the answer would come too late."""
    backend = FakeBackend()

    with pytest.raises(BudgetExceededError):
        await (await make_router(backend)).select_route(SelectRoute("id", CODE_QUESTION), budget_s=0.001)

    assert [] == backend.requests


async def test_an_unroutable_conversation_is_refused() -> None:
    """Limits hold for every request."""
    with pytest.raises(InvalidRequestError):
        await (await make_router()).select_route(SelectRoute("id", ()), budget_s=1)


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u3000"])
async def test_a_latest_message_of_white_space_decides_nothing(blank: str) -> None:
    """The route follows the latest user message with text, the backend reads no other, and the reader is told."""
    backend = FakeBackend()
    request = SelectRoute("id", (*CODE_QUESTION, Message(Role.ASSISTANT, blank), Message(Role.USER, blank)))

    decision = await (await make_router(backend)).select_route(request, budget_s=1)

    assert [CODE_QUESTION] == [scored.conversation.messages for scored in backend.requests]
    assert "coding" == (decision.route.id if decision.route else None)
    assert [WarningCode.LAST_MESSAGE_NOT_USER] == [warning.code for warning in decision.warnings]


async def test_a_failure_of_the_backend_is_passed_on() -> None:
    """The core invents no decision."""
    backend = FakeBackend()
    router = await make_router(backend)
    backend.failure = BackendUnavailableError("gone", retry_after_s=1)

    with pytest.raises(BackendUnavailableError):
        await router.select_route(SelectRoute("id", CODE_QUESTION), budget_s=1)


async def test_a_posterior_of_the_wrong_length_is_refused() -> None:
    """A model that scores another number of candidates is not believed."""
    router = await make_router(Scripted(scoring(1.0, 2.0, 3.0)))

    with pytest.raises(BackendProtocolError, match="1 routes"):
        await router.select_route(SelectRoute("id", CODE_QUESTION), budget_s=1)


async def test_the_threshold_of_the_request_is_used() -> None:
    """A request may ask for more certainty than the policies do."""
    request = SelectRoute("id", CODE_QUESTION, rule=DecisionRule(min_confidence=0.9))

    decision = await (await make_router(Scripted(scoring(1.0, 0.0)))).select_route(request, budget_s=1)

    assert Outcome.LOW_CONFIDENCE is decision.outcome
    assert decision.confidence == pytest.approx(0.731, abs=1e-3)


@pytest.mark.parametrize(
    ("answer", "code", "metadata"),
    [
        (
            scoring(1, 0, usage=Usage(dropped_message_count=2, dropped_token_count=9)),
            WarningCode.CONVERSATION_TRUNCATED,
            {"droppedMessageCount": "2", "droppedTokenCount": "9"},
        ),
        (scoring(1, 0, usage=Usage(dropped_token_count=9)), WarningCode.MESSAGE_TRUNCATED, {"droppedTokenCount": "9"}),
        (scoring(1, 0, on_trie_mass=0.25), WarningCode.ANSWER_OFF_POLICY, {"onTrieMass": "0.250000"}),
        (
            scoring(1, 0, fitted=False),
            WarningCode.CONFIDENCE_UNCALIBRATED,
            {"modelVersion": FAKE_PROFILE.model_version},
        ),
        (
            replace(scoring(1, 0), reasons=(DecisionReason.COMPACT_UNSURE, DecisionReason.ENGINE_UNAVAILABLE)),
            WarningCode.ENGINE_UNAVAILABLE_COMPACT_USED,
            {},
        ),
    ],
)
async def test_facts_of_the_answer_become_warnings(
    answer: Scoring, code: WarningCode, metadata: dict[str, str]
) -> None:
    """Each degradation has one warning with its numbers for machines."""
    decision = await (await make_router(Scripted(answer))).select_route(SelectRoute("id", CODE_QUESTION), budget_s=1)

    assert [(code, metadata)] == [(warning.code, dict(warning.metadata)) for warning in decision.warnings]


async def test_facts_of_the_conversation_become_warnings() -> None:
    """Ignored messages and a last message that is not the user's are said."""
    messages = (Message(Role.SYSTEM, "s"), *CODE_QUESTION, Message(Role.TOOL, "t"))

    decision = await (await make_router()).select_route(SelectRoute("id", messages), budget_s=1)

    codes = [warning.code for warning in decision.warnings]
    assert [WarningCode.MESSAGES_IGNORED, WarningCode.LAST_MESSAGE_NOT_USER] == codes
    assert {"ignoredMessageCount": "2"} == dict(decision.warnings[0].metadata)


async def test_a_stale_policy_set_is_said_with_every_decision() -> None:
    """Whoever reads a decision learns that the policies could not be updated."""
    source, backend = FakeSource(make_set("code")), FakeBackend()
    store = PolicyStore(source, backend, FakeClock(), default_id="")
    await store.reload()
    source.broken = ("code.yaml",)
    await store.reload()
    router = Router(store, backend, FakeClock(), LIMITS, min_budget_s=0, deadline_margin_s=0)

    decision = await router.select_route(SelectRoute("id", CODE_QUESTION), budget_s=1)

    assert WarningCode.POLICY_SET_STALE in [warning.code for warning in decision.warnings]


@pytest.mark.parametrize(
    ("model_version", "own_threshold", "expected"),
    [
        (FAKE_PROFILE.model_version, None, []),
        (f"sha256:aa + {FAKE_PROFILE.model_version}", None, []),
        ("sha256:aa", None, [(WarningCode.THRESHOLDS_STALE, {"cause": "model"})]),
        ("sha256:aa", 0.5, []),
    ],
)
async def test_a_promise_for_another_model_is_said_with_every_decision(
    model_version: str, own_threshold: float | None, expected: list[tuple[WarningCode, dict[str, str]]]
) -> None:
    """Unless the request has a threshold of its own; a cascade's promise is for each of its models."""
    calibrated = promised(make_set("code"), model_version)
    request = SelectRoute("id", CODE_QUESTION, rule=DecisionRule(own_threshold))

    decision = await (await make_router(source=FakeSource(calibrated))).select_route(request, budget_s=1)

    assert expected == [(warning.code, warning.metadata) for warning in decision.warnings]


async def test_a_promise_for_earlier_policies_is_said_whatever_the_model() -> None:
    """Another description; other models are no other policies."""
    calibrated = promised(make_set("code"), FAKE_PROFILE.model_version)
    other_model = replace(calibrated, fallback_models=(ModelTarget("m/else"),))
    edited = replace(calibrated, routes=make_set("code", "writing programs").routes)
    decisions = [
        await (await make_router(source=FakeSource(one))).select_route(SelectRoute("id", CODE_QUESTION), budget_s=1)
        for one in (other_model, edited)
    ]

    assert [[], [{"cause": "policies"}]] == [[warning.metadata for warning in one.warnings] for one in decisions]


async def test_an_inline_set_decides_only_in_the_revision_that_is_asked_for() -> None:
    """A caller who pins what it also sends learns when the two differ."""
    router, inline = await make_router(), make_set("inline")
    pinned = SelectRoute("id", CODE_QUESTION, inline_policy_set=inline, policy_set_revision=inline.revision)
    other = replace(pinned, policy_set_revision="sha256:" + "0" * 64)

    decision = await router.select_route(pinned, budget_s=1)
    with pytest.raises(PolicySetRevisionNotFoundError) as caught:
        await router.select_route(other, budget_s=1)

    assert inline.revision == decision.policy_set.revision == caught.value.active_revision


async def test_a_ticket_keeps_the_route_of_the_decision_before() -> None:
    """The next question is about something else; a tool's result stays, and the reasons say why and by what."""
    router = await make_router()
    begun = await router.select_route(SelectRoute("id", CODE_QUESTION), budget_s=1)
    stickiness = Stickiness(turn_kind=TurnKind.TOOL_RESULT, route_ticket=begun.route_ticket)
    tool_result = SelectRoute("id", (Message(Role.USER, "thanks, bye"),), rule=DecisionRule(stickiness=stickiness))

    decision = await router.select_route(tool_result, budget_s=1)

    assert decision.kept
    assert (DecisionReason.ROUTE_TICKET, DecisionReason.KEPT_FOR_TOOL_RESULT) == decision.reasons[:2]
    assert () == decision.warnings


async def test_a_ticket_that_cannot_be_used_is_a_warning_and_no_route_has_no_ticket() -> None:
    """The conversation is decided as if the ticket had not been sent."""
    stickiness = Stickiness(turn_kind=TurnKind.TOOL_RESULT, route_ticket="made-up")
    request = SelectRoute("id", (Message(Role.USER, "thanks, bye"),), rule=DecisionRule(stickiness=stickiness))

    decision = await (await make_router()).select_route(request, budget_s=1)

    assert Outcome.NO_MATCH is decision.outcome
    assert "" == decision.route_ticket
    assert [(WarningCode.ROUTE_TICKET_IGNORED, {"cause": "malformed"})] == [
        (warning.code, warning.metadata) for warning in decision.warnings
    ]
