"""What the log and the metrics keep of a decision."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from tests.support.fake_backend import FAKE_PROFILE
from tests.support.logged_decisions import DECISION, POLICY_SET

from archrouter.application.select_route import Decision
from archrouter.domain.decision import Outcome
from archrouter.domain.scoring import CalibrationReference, Usage
from archrouter.observability.metrics import Metrics
from archrouter.rpc.routing_servicer import count_decision, log_fields


def test_log_fields_hold_no_text_of_policies() -> None:
    """The log has ids, counts and times of a decision, and no description."""
    fields = log_fields(DECISION)

    assert ("support", "coding", "matched", 1.125) == (
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

    assert {"tokenize": 0.25, "inference": 1.0, "queue": queue_s} == stages
    assert expected == counted(reported, "archrouter_stage_duration_seconds_count", stage="queue")


def test_drift_is_counted_by_policy_set_and_tier() -> None:
    """The leading probability and the entropy of every decision, and whether no match leads."""
    labels = {"policy_set": "support", "tier": "compact"}
    undecided = replace(DECISION, candidates=DECISION.candidates[::-1])

    assert 0.75 == counted(DECISION, "archrouter_decision_top_probability_ratio_sum", **labels)
    entropy = counted(DECISION, "archrouter_decision_entropy_ratio_sum", **labels)
    assert 0.811278 == pytest.approx(entropy, abs=1e-6)  # in bits, of which two candidates have one
    assert counted(DECISION, "archrouter_decision_no_match_leads_total", **labels) is None
    assert 1 == counted(undecided, "archrouter_decision_no_match_leads_total", **labels)


@pytest.mark.parametrize(("probability", "decile"), [(0.0, "1"), (0.74, "5"), (0.75, "6"), (1.0, "10")])
def test_a_decision_falls_into_a_tenth_of_the_calibration(probability: float, decile: str) -> None:
    """Where the model tells of its calibration, the share of each tenth shows how far conversations have moved."""
    reference = CalibrationReference((0.1, 0.2, 0.3, 0.4, 0.75, 0.8, 0.85, 0.9, 0.95), 0.25, 0.5)
    leader = DECISION.candidates[0]._replace(probability=probability)
    decision = replace(
        DECISION, candidates=(leader, DECISION.candidates[1]), profile=replace(FAKE_PROFILE, reference=reference)
    )

    labels = {"policy_set": "support", "tier": "compact"}
    assert 1 == counted(decision, "archrouter_decision_reference_decile_total", **labels, decile=decile)
    assert 0.25 == counted(decision, "archrouter_calibration_no_match_ratio", tier="compact")
    assert 0.5 == counted(decision, "archrouter_calibration_entropy_ratio", tier="compact")
