"""What the log and the metrics keep of a decision: ids, counts and times, nothing of the conversation."""

from archrouter.domain.decision import Decision
from archrouter.observability.metrics import INLINE_POLICY_SET, DecisionMeasurements


def log_fields(decision: Decision) -> dict[str, object]:
    """List the fields a decision adds to the log line of its call.

    Args:
        decision: What was decided.

    Returns:
        Fields by name; durations in seconds.
    """
    return {
        "policy_set": decision.policy_set.id,
        "policy_set_revision": decision.policy_set.revision,
        "outcome": decision.outcome.value,
        "route_id": decision.route.id if decision.route else "",
        "confidence": round(decision.confidence, 6),
        "prompt_token_count": decision.usage.prompt_token_count,
        "dropped_token_count": decision.usage.dropped_token_count,
        "backend_duration_s": round(decision.times.queue_s + decision.times.inference_s, 6),
        "model_version": decision.profile.model_version,
    }


def measurements(decision: Decision) -> DecisionMeasurements:
    """Measure a decision.

    Args:
        decision: What was decided.

    Returns:
        What it adds to the metrics; every inline policy set counts as one.
    """
    times = decision.times
    durations_s = {"tokenize": times.tokenize_s, "inference": times.inference_s}
    if times.queue_s:  # 0: the inference server did not tell
        durations_s["queue"] = times.queue_s
    return DecisionMeasurements(
        policy_set=INLINE_POLICY_SET if decision.inline else decision.policy_set.id,
        outcome=decision.outcome.value,
        confidence=decision.confidence,
        prompt_token_count=decision.usage.prompt_token_count,
        truncated=decision.usage.dropped_token_count > 0,
        stage_durations_s=durations_s,
    )
