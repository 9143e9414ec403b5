"""What the log and the metrics keep of a decision."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from tests.support.fake_backend import FAKE_PROFILE
from tests.support.fakes import make_set

from archrouter.application.select_route import Decision, DecisionTimes
from archrouter.domain.decision import DecisionReason, Outcome
from archrouter.domain.scoring import Usage
from archrouter.observability.metrics import Metrics
from archrouter.rpc.routing_servicer import count_decision, log_fields

POLICY_SET = make_set("support", description="never to be logged")

DECISION = Decision(
    decision_id="id-1",
    outcome=Outcome.MATCHED,
    route=POLICY_SET.routes[0],
    models=POLICY_SET.routes[0].models,
    confidence=0.75,
    candidates=(),
    policy_set=POLICY_SET,
    inline=False,
    profile=FAKE_PROFILE,
    kept=False,
    reasons=(DecisionReason.ROUTE_LEADS, DecisionReason.THRESHOLD_OF_SERVER),
    warnings=(),
    usage=Usage(prompt_token_count=10, engine_call_count=1),
    times=DecisionTimes(total_s=1.0, tokenize_s=0.25, queue_s=0.0, inference_s=0.5),
)


def test_log_fields_hold_no_text_of_policies() -> None:
    """The log has ids, counts and times of a decision, and no description."""
    fields = log_fields(DECISION)

    assert ("support", "coding", "matched", 0.5) == (
        fields["policy_set"],
        fields["route_id"],
        fields["outcome"],
        fields["backend_duration_s"],
    )
    assert POLICY_SET.routes[0].description not in repr(fields)


def test_log_of_a_decision_without_route_names_none() -> None:
    """A decision that chose no route has an empty route id."""
    assert "" == log_fields(replace(DECISION, outcome=Outcome.NO_MATCH, route=None))["route_id"]


def counted(decision: Decision, name: str, **labels: str) -> float | None:
    """Count a decision and read one sample."""
    registry = CollectorRegistry()
    count_decision(Metrics(registry, version="1.2.3"), decision)
    return registry.get_sample_value(name, labels)


@pytest.mark.parametrize(("inline", "expected"), [(False, "support"), (True, "inline")])
def test_inline_policy_sets_share_one_label(*, inline: bool, expected: str) -> None:
    """The number of series does not depend on what callers send."""
    decision = replace(DECISION, inline=inline)

    assert 1 == counted(decision, "archrouter_decisions_total", policy_set=expected, outcome="matched")
    assert 1 == counted(decision, "archrouter_decision_confidence_ratio_count", policy_set=expected)


@pytest.mark.parametrize(("dropped", "expected"), [(0, 0), (3, 1)])
def test_decision_on_a_part_of_the_conversation_is_truncated(dropped: int, expected: int) -> None:
    """Whatever was dropped, whole messages or the middle of one, counts as a truncation."""
    usage = Usage(prompt_token_count=10, engine_call_count=1, dropped_token_count=dropped)

    assert expected == counted(replace(DECISION, usage=usage), "archrouter_truncations_total")


@pytest.mark.parametrize(("queue_s", "expected"), [(0.0, 0), (0.125, 1)])
def test_queue_time_is_measured_where_it_is_reported(queue_s: float, expected: int) -> None:
    """A queue time that nobody reported does not count as one of zero."""
    reported = replace(DECISION, times=replace(DECISION.times, queue_s=queue_s))

    stages = {
        stage: counted(reported, "archrouter_stage_duration_seconds_sum", stage=stage)
        for stage in ("tokenize", "inference", "queue")
    }

    assert {"tokenize": 0.25, "inference": 0.5, "queue": queue_s} == stages
    assert expected == counted(reported, "archrouter_stage_duration_seconds_count", stage="queue")
