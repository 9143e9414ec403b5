"""Decisions of the domain become messages of the wire."""

from dataclasses import replace
from enum import Enum

import pytest
from google.protobuf.duration_pb2 import Duration
from tests.support.logged_decisions import DECISION as LOGGED

from archrouter import v1
from archrouter.application.select_route import Explanation, MessageEffect
from archrouter.domain.decision import CandidateKind, DecisionReason, Outcome
from archrouter.domain.findings import Severity
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.scoring import BackendProfile, Tier
from archrouter.domain.warnings import DecisionWarning, WarningCode
from archrouter.rpc.convert.policies import SEVERITIES
from archrouter.rpc.convert.routing import CANDIDATE_KINDS, OUTCOMES, REASONS, TIERS, WARNING_CODES, decision_to_proto

BASIC, FULL = v1.DecisionView.DECISION_VIEW_BASIC, v1.DecisionView.DECISION_VIEW_FULL

CODING = RoutePolicy("coding", "programming", "coding", "writing code", (ModelTarget("m/coder", '{"top_p":0.5}'),))
POLICY_SET = PolicySet("support", "", (CODING,), (ModelTarget("m/general"),))

DECISION = replace(
    LOGGED,
    route=CODING,
    models=CODING.models,
    policy_set=POLICY_SET,
    profile=BackendProfile(Tier.ENGINE, "sha256:model", "sha256:tokenizer", "sha256:prompt", 64),
    reasons=(DecisionReason.ROUTE_TICKET, DecisionReason.KEPT_FOR_RETRY),
    warnings=(DecisionWarning(WarningCode.CONVERSATION_TRUNCATED, "cut", {"droppedTokenCount": "7"}),),
)


def test_full_view_writes_every_field() -> None:
    """Everything the domain knows of a decision is in the full view."""
    message = decision_to_proto(DECISION, FULL, max_candidates=0)

    target = v1.ModelTarget(model="m/coder")
    target.parameters["top_p"] = 0.5
    expected = v1.Decision(
        decision_id="id-1",
        outcome=v1.Outcome.OUTCOME_MATCHED,
        route_id="coding",
        models=[target],
        confidence=0.75,
        candidates=[
            v1.Candidate(
                kind=v1.CandidateKind.CANDIDATE_KIND_ROUTE,
                route_id="coding",
                probability=0.75,
                log_probability=-0.25,
                exact=True,
            ),
            v1.Candidate(
                kind=v1.CandidateKind.CANDIDATE_KIND_NO_MATCH, probability=0.25, log_probability=float("-inf")
            ),
        ],
        policy_set="policySets/support",
        policy_set_revision=POLICY_SET.revision,
        model_version="sha256:model",
        warnings=[
            v1.Warning(
                code=v1.WarningCode.WARNING_CODE_CONVERSATION_TRUNCATED,
                message="cut",
                metadata={"droppedTokenCount": "7"},
            )
        ],
        usage=v1.Usage(
            prompt_token_count=10,
            engine_call_count=2,
            cached_token_count=3,
            dropped_message_count=4,
            dropped_token_count=7,
        ),
        timing=v1.Timing(
            total_duration=Duration(seconds=1, nanos=500_000_000),
            tokenize_duration=Duration(nanos=250_000_000),
            queue_duration=Duration(nanos=125_000_000),
            inference_duration=Duration(seconds=1),
        ),
        tier=v1.Tier.TIER_ENGINE,
        domain="programming",
        action="coding",
        kept=True,
        reasons=[
            v1.DecisionReason.DECISION_REASON_ROUTE_TICKET,
            v1.DecisionReason.DECISION_REASON_KEPT_FOR_RETRY,
        ],
    )
    assert expected == message


@pytest.mark.parametrize("view", [BASIC, v1.DecisionView.DECISION_VIEW_UNSPECIFIED])
def test_basic_view_is_the_full_view_without_candidates_and_timing(view: v1.DecisionView.ValueType) -> None:
    """The basic view, which is also the default, lacks these two fields and nothing else."""
    expected = decision_to_proto(DECISION, FULL, max_candidates=0)
    expected.ClearField("candidates")
    expected.ClearField("timing")

    assert expected == decision_to_proto(DECISION, view, max_candidates=0)


@pytest.mark.parametrize("deciding", [None, 0, 2])
def test_an_explanation_is_written_where_there_is_one(deciding: int | None) -> None:
    """Message 0 may be the deciding one, which is not the same as none."""
    explanation = Explanation(DECISION.candidates[1], 0.5, (MessageEffect(2, -0.25, changes_leader=True),), deciding)

    message = decision_to_proto(
        replace(DECISION, explanation=explanation), v1.DecisionView.DECISION_VIEW_EXPLAIN, max_candidates=0
    )

    expected = v1.Explanation(
        runner_up=message.candidates[1],
        lead=0.5,
        message_effects=[v1.MessageEffect(message_index=2, probability_change=-0.25, changes_leader=True)],
        deciding_message_index=deciding,
    )
    assert expected == message.explanation
    assert (deciding is not None) == message.explanation.HasField("deciding_message_index")


def test_decision_without_route_has_neither_route_nor_domain() -> None:
    """Where no route was chosen nothing names one."""
    undecided = replace(DECISION, outcome=Outcome.NO_MATCH, route=None, models=POLICY_SET.fallback_models)

    message = decision_to_proto(undecided, BASIC, max_candidates=0)

    assert ("", "", "") == (message.route_id, message.domain, message.action)
    assert [v1.ModelTarget(model="m/general")] == list(message.models)


def test_queue_time_that_was_not_reported_is_unset() -> None:
    """An unknown queue time is not sent as a queue time of zero."""
    unreported = replace(DECISION, times=replace(DECISION.times, queue_s=0.0))

    timing = decision_to_proto(unreported, FULL, max_candidates=0).timing

    assert (False, True) == (timing.HasField("queue_duration"), timing.HasField("inference_duration"))


@pytest.mark.parametrize(("max_candidates", "expected"), [(0, 2), (1, 1), (2, 2), (99, 2)])
def test_candidates_are_cut_to_the_most_probable(max_candidates: int, expected: int) -> None:
    """`max_candidates` bounds the list, and 0 does not."""
    message = decision_to_proto(DECISION, FULL, max_candidates=max_candidates)

    assert expected == len(message.candidates)
    assert "coding" == message.candidates[0].route_id


@pytest.mark.parametrize(
    ("kinds", "table", "wire", "unsent"),
    [
        pytest.param(Outcome, OUTCOMES, v1.Outcome.values(), set(), id="outcome"),
        pytest.param(Tier, TIERS, v1.Tier.values(), set(), id="tier"),
        pytest.param(CandidateKind, CANDIDATE_KINDS, v1.CandidateKind.values(), set(), id="candidate_kind"),
        pytest.param(
            WarningCode,
            WARNING_CODES,
            v1.WarningCode.values(),
            {v1.WarningCode.WARNING_CODE_LANGUAGE_NOT_READ},
            id="warning_code",
        ),
        pytest.param(DecisionReason, REASONS, v1.DecisionReason.values(), set(), id="reason"),
        pytest.param(Severity, SEVERITIES, v1.Severity.values(), set(), id="severity"),
    ],
)
def test_every_value_of_an_answer_enum_is_mapped(
    kinds: type[Enum], table: dict[Enum, int], wire: list[int], unsent: set[int]
) -> None:
    """Domain and wire have the same values, those that the wire documents as never sent aside."""
    assert set(kinds) == table.keys()
    assert set(wire) - {0} - unsent == set(table.values())
