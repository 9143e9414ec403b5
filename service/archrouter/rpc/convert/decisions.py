"""Requests for decisions, decisions, and what the server says of itself."""

from google.protobuf.duration_pb2 import Duration

from archrouter import v1
from archrouter.application.router import RequestLimits
from archrouter.application.select_route import SelectRoute
from archrouter.domain.conversation import Message
from archrouter.domain.decision import Candidate, Decision, DecisionRule, DecisionTimes, Stickiness
from archrouter.domain.errors import PolicySetInvalidError
from archrouter.domain.scoring import BackendProfile, Usage
from archrouter.domain.warnings import DecisionWarning
from archrouter.rpc.convert.enums import CANDIDATE_KINDS, OUTCOMES, OVERFLOWS, ROLES, TIERS, TURN_KINDS, WARNING_CODES
from archrouter.rpc.convert.policies import policy_set_from_proto, targets_to_proto
from archrouter.rpc.resource_names import policy_set_id, policy_set_name


def select_route_from_proto(
    request: v1.SelectRouteRequest, decision_id: str, *, default_min_confidence: float
) -> SelectRoute:
    """Read a routing request.

    Args:
        request: A request that `validation.check_select_route` accepts.
        decision_id: Id of the decision to come.
        default_min_confidence: Server's threshold in [0, 1].

    Returns:
        The question for the router.

    Raises:
        PolicySetInvalidError: When the inline policy set has a value the domain cannot hold.
    """
    inline_policy_set = None
    if request.WhichOneof("policy_source") == "inline_policy_set":
        inline_policy_set, findings = policy_set_from_proto(request.inline_policy_set)
        if findings:
            raise PolicySetInvalidError(findings)
    named = request.WhichOneof("policy_source") == "policy_set"
    return SelectRoute(
        decision_id=decision_id,
        messages=tuple(Message(ROLES[message.role], message.content) for message in request.messages),
        policy_set_id=policy_set_id(request.policy_set) if named else None,
        inline_policy_set=inline_policy_set,
        rule=_decision_rule(request.options, default_min_confidence),
        overflow=OVERFLOWS[request.options.overflow_behavior],
    )


def decision_to_proto(decision: Decision, view: v1.DecisionView.ValueType, *, max_candidates: int) -> v1.Decision:
    """Write a decision.

    Args:
        decision: What was decided.
        view: How much of it to write; unset means BASIC.
        max_candidates: Candidates that FULL holds at most; 0 for all.

    Returns:
        The message; candidates and timing in FULL only.
    """
    route = decision.route
    message = v1.Decision(
        decision_id=decision.decision_id,
        outcome=OUTCOMES[decision.outcome],
        route_id=route.id if route else "",
        models=targets_to_proto(decision.models),
        confidence=decision.confidence,
        policy_set=policy_set_name(decision.policy_set.id),
        policy_set_revision=decision.policy_set.revision,
        model_version=decision.profile.model_version,
        warnings=[_warning_to_proto(warning) for warning in decision.warnings],
        usage=_usage_to_proto(decision.usage),
        tier=TIERS[decision.profile.tier],
        domain=route.domain if route else "",
        action=route.action if route else "",
        kept=decision.kept,
    )
    if view == v1.DecisionView.DECISION_VIEW_FULL:
        wanted = decision.candidates[: max_candidates or None]
        message.candidates.extend(_candidate_to_proto(candidate) for candidate in wanted)
        message.timing.CopyFrom(_timing_to_proto(decision.times))
    return message


def server_info_to_proto(
    profile: BackendProfile,
    limits: RequestLimits,
    *,
    version: str,
    inline_enabled: bool,
    default_policy_set_id: str | None,
) -> v1.GetServerInfoResponse:
    """Write what this server is and what it accepts.

    Args:
        profile: The model behind it.
        limits: Bounds of a request.
        version: Release of the service.
        inline_enabled: Whether requests may carry a policy set.
        default_policy_set_id: Set for requests that name none; None when there is no such set.

    Returns:
        The complete message.
    """
    return v1.GetServerInfoResponse(
        version=version,
        model_version=profile.model_version,
        tier=TIERS[profile.tier],
        tokenizer_digest=profile.tokenizer_digest,
        prompt_template_version=profile.prompt_template_version,
        max_prompt_token_count=profile.max_prompt_token_count,
        max_batch_size=limits.max_batch_size,
        max_messages=limits.max_messages,
        inline_policies_enabled=inline_enabled,
        default_policy_set=policy_set_name(default_policy_set_id) if default_policy_set_id else "",
    )


def _decision_rule(options: v1.RoutingOptions, default_min_confidence: float) -> DecisionRule:
    return DecisionRule(
        min_confidence=options.min_confidence if options.HasField("min_confidence") else None,
        default_min_confidence=default_min_confidence,
        stickiness=Stickiness(
            previous_route_id=options.previous_route_id,
            turn_kind=TURN_KINDS[options.turn_kind],
            switch_margin=options.switch_margin,
        ),
    )


def _warning_to_proto(warning: DecisionWarning) -> v1.Warning:
    return v1.Warning(code=WARNING_CODES[warning.code], message=warning.message, metadata=warning.metadata)


def _usage_to_proto(usage: Usage) -> v1.Usage:
    return v1.Usage(
        prompt_token_count=usage.prompt_token_count,
        engine_call_count=usage.engine_call_count,
        cached_token_count=usage.cached_token_count,
        dropped_message_count=usage.dropped_message_count,
        dropped_token_count=usage.dropped_token_count,
    )


def _candidate_to_proto(candidate: Candidate) -> v1.Candidate:
    return v1.Candidate(
        kind=CANDIDATE_KINDS[candidate.kind],
        route_id=candidate.route_id,
        probability=candidate.probability,
        log_probability=candidate.log_probability,
        exact=candidate.exact,
    )


def _timing_to_proto(times: DecisionTimes) -> v1.Timing:
    return v1.Timing(
        total_duration=_duration(times.total_s),
        tokenize_duration=_duration(times.tokenize_s),
        queue_duration=_duration(times.queue_s) if times.queue_s else None,  # 0: the inference server told none
        inference_duration=_duration(times.inference_s),
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
