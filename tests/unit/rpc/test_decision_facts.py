"""What is kept of a decision."""

from dataclasses import replace

import pytest
from fake_backend import FAKE_PROFILE
from fakes import make_set

from archrouter.domain.decision import Decision, DecisionTimes, Outcome
from archrouter.domain.scoring import Usage
from archrouter.rpc.decision_facts import log_fields, measurements

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


@pytest.mark.parametrize(("inline", "expected"), [(False, "support"), (True, "inline")])
def test_inline_policy_sets_share_one_label(*, inline: bool, expected: str) -> None:
    """The number of series does not depend on what callers send."""
    assert expected == measurements(replace(DECISION, inline=inline)).policy_set


@pytest.mark.parametrize(("dropped", "expected"), [(0, False), (3, True)])
def test_decision_on_a_part_of_the_conversation_is_truncated(dropped: int, *, expected: bool) -> None:
    """Whatever was dropped, whole messages or the middle of one, counts as a truncation."""
    usage = Usage(prompt_token_count=10, engine_call_count=1, dropped_token_count=dropped)

    assert expected == measurements(replace(DECISION, usage=usage)).truncated


def test_queue_time_is_measured_where_it_is_reported() -> None:
    """A queue time that nobody reported does not count as one of zero."""
    reported = replace(DECISION, times=replace(DECISION.times, queue_s=0.125))

    assert {"tokenize": 0.25, "inference": 0.5} == measurements(DECISION).stage_durations_s
    assert {"tokenize": 0.25, "inference": 0.5, "queue": 0.125} == measurements(reported).stage_durations_s
