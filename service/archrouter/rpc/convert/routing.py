"""Requests for decisions, and decisions: between the wire's messages and the domain's values."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from archrouter import v1
from archrouter.application.router import RequestLimits
from archrouter.application.select_route import Decision, DecisionTimes, Explanation, SelectRoute
from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import (
    Candidate,
    CandidateKind,
    DecisionReason,
    DecisionRule,
    Outcome,
    Stickiness,
    TurnKind,
)
from archrouter.domain.errors import InvalidRequestError
from archrouter.domain.findings import Finding, error_at, quoted
from archrouter.domain.policy import ModelTarget, PolicySet
from archrouter.domain.scoring import Overflow, Tier
from archrouter.domain.ticket import MAX_TICKET_CHARACTERS
from archrouter.domain.warnings import WarningCode

MAX_CORRELATION_ID_CHARACTERS = 64
"""Part of the API: fits a UUID, a trace id or a ULID, and bounds a log line."""

_COLLECTION = "policySets/"
_NAME = re.compile(r"(?:policySets/)?([a-z0-9-]{1,64})")
_REVISION = re.compile(r"sha256:[0-9a-f]{64}")

ROLES = {v1.Role.Value(f"ROLE_{role.name}"): role for role in Role}
OVERFLOWS = {v1.OverflowBehavior.Value(f"OVERFLOW_BEHAVIOR_{each.name}"): each for each in Overflow}
OVERFLOWS[v1.OverflowBehavior.OVERFLOW_BEHAVIOR_UNSPECIFIED] = Overflow.TRUNCATE
TURN_KINDS = {v1.TurnKind.Value(f"TURN_KIND_{kind.name}"): kind for kind in TurnKind}
TURN_KINDS[v1.TurnKind.TURN_KIND_UNSPECIFIED] = TurnKind.USER
OUTCOMES = {outcome: v1.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in Outcome}
TIERS = {tier: v1.Tier.Value(f"TIER_{tier.name}") for tier in Tier}
CANDIDATE_KINDS = {kind: v1.CandidateKind.Value(f"CANDIDATE_KIND_{kind.name}") for kind in CandidateKind}
REASONS = {reason: v1.DecisionReason.Value(f"DECISION_REASON_{reason.name}") for reason in DecisionReason}
WARNING_CODES = {code: v1.WarningCode.Value(f"WARNING_CODE_{code.name}") for code in WarningCode}


def policy_set_name(policy_set_id: str) -> str:
    """Name a policy set as the API does: ``policySets/{id}``."""
    return _COLLECTION + policy_set_id


def policy_set_id(name: str) -> str | None:
    """Read the id out of a resource name, ``policySets/{id}`` or the id alone; None when it has neither form."""
    match = _NAME.fullmatch(name)
    return match[1] if match else None


def name_findings(field_path: str, name: str) -> Iterator[Finding]:
    """Say what is wrong with the name of a policy set, if anything."""
    if policy_set_id(name) is None:
        text = f"{quoted(name)} does not name a policy set; send policySets/{{id}} or the id alone, of a-z, 0-9 and '-'"
        yield error_at(field_path, text)


def check_select_route(request: v1.SelectRouteRequest, limits: RequestLimits) -> None:
    """Check the fields of one routing request, as far as that needs nothing but the message.

    Nothing walks over the repeated fields beyond their limits, so a message of a million empty items costs nothing.
    Raises InvalidRequestError with every finding at once.
    """
    miscounted = limits.count_findings(len(request.messages), len(request.inline_policy_set.routes))
    findings = (
        *(_in_proto_words(finding) for finding in miscounted),
        *_message_findings(request.messages[: limits.max_messages]),
        *(name_findings("policy_set", request.policy_set) if request.policy_set else ()),
        *_revision_findings(request.policy_set_revision),
        *_option_findings(request.options),
        *_enum_findings("view", request.view, v1.DecisionView.DESCRIPTOR),
        *_correlation_id_findings(request.correlation_id),
    )
    if findings:
        raise InvalidRequestError(findings)


def check_batch(request: v1.BatchSelectRoutesRequest, limits: RequestLimits) -> None:
    """Refuse an empty or too large batch; its items are checked one by one."""
    count = len(request.requests)
    if not 1 <= count <= limits.max_batch_size:
        text = f"{count} requests; send 1 to {limits.max_batch_size} (limits.max_batch_size)"
        raise InvalidRequestError((error_at("requests", text),))


def select_route_from_proto(
    request: v1.SelectRouteRequest,
    decision_id: str,
    *,
    inline_policy_set: PolicySet | None = None,
    default_min_confidence: float,
) -> SelectRoute:
    """Read a request that `check_select_route` accepts; its inline policy set has been read already."""
    options = request.options
    return SelectRoute(
        decision_id=decision_id,
        messages=tuple(Message(ROLES[message.role], message.content) for message in request.messages),
        policy_set_id=policy_set_id(request.policy_set),  # unset or empty: the default
        inline_policy_set=inline_policy_set,
        policy_set_revision=request.policy_set_revision,
        rule=DecisionRule(
            min_confidence=options.min_confidence if options.HasField("min_confidence") else None,
            default_min_confidence=default_min_confidence,
            stickiness=Stickiness(
                previous_route_id=options.previous_route_id,
                turn_kind=TURN_KINDS[options.turn_kind],
                switch_margin=options.switch_margin,
                route_ticket=options.route_ticket,
            ),
        ),
        overflow=OVERFLOWS[options.overflow_behavior],
        explain=request.view == v1.DecisionView.DECISION_VIEW_EXPLAIN,
    )


def decision_to_proto(decision: Decision, view: v1.DecisionView.ValueType, *, max_candidates: int) -> v1.Decision:
    """Write a decision; an unset view means BASIC, without candidates and timing; 0 for `max_candidates` means all."""
    route, usage = decision.route, decision.usage
    message = v1.Decision(
        decision_id=decision.decision_id,
        outcome=OUTCOMES[decision.outcome],
        route_id=route.id if route else "",
        models=map(target_to_proto if decision.inline else _loaded_target_to_proto, decision.models),
        confidence=decision.confidence,
        policy_set=policy_set_name(decision.policy_set.id),
        policy_set_revision=decision.policy_set.revision,
        model_version=decision.profile.model_version,
        warnings=[
            v1.Warning(code=WARNING_CODES[one.code], message=one.message, metadata=one.metadata)
            for one in decision.warnings
        ],
        usage=v1.Usage(
            prompt_token_count=usage.prompt_token_count,
            engine_call_count=usage.engine_call_count,
            cached_token_count=usage.cached_token_count,
            dropped_message_count=usage.dropped_message_count,
            dropped_token_count=usage.dropped_token_count,
        ),
        tier=TIERS[decision.profile.tier],
        domain=route.domain if route else "",
        action=route.action if route else "",
        kept=decision.kept,
        route_ticket=decision.route_ticket,
        reasons=[REASONS[reason] for reason in decision.reasons],
    )
    if view >= v1.DecisionView.DECISION_VIEW_FULL:
        message.candidates.extend(_candidate_to_proto(one) for one in decision.candidates[: max_candidates or None])
        message.timing.CopyFrom(_timing_to_proto(decision.times))
    if decision.explanation is not None:
        message.explanation.CopyFrom(_explanation_to_proto(decision.explanation))
    return message


def target_to_proto(target: ModelTarget) -> v1.ModelTarget:
    """Write a model, its parameters unset where there are none."""
    parameters = json_to_struct(target.parameters_json)
    return v1.ModelTarget(model=target.model, parameters=parameters if parameters.fields else None)


_loaded_target_to_proto = lru_cache(maxsize=1024)(target_to_proto)
"""For the policy files' models only: what is kept of those that come with requests would be the callers' to choose."""


def json_to_struct(text: str) -> Struct:
    """Read a JSON object as a struct, which knows doubles only: integers above 2^53 lose precision."""
    struct = Struct()
    struct.update(json.loads(text))
    return struct


def _candidate_to_proto(candidate: Candidate) -> v1.Candidate:
    return v1.Candidate(
        kind=CANDIDATE_KINDS[candidate.kind],
        route_id=candidate.route_id,
        probability=candidate.probability,
        log_probability=candidate.log_probability,
        exact=candidate.exact,
    )


def _explanation_to_proto(explanation: Explanation) -> v1.Explanation:
    return v1.Explanation(
        runner_up=_candidate_to_proto(explanation.runner_up),
        lead=explanation.lead,
        message_effects=[
            v1.MessageEffect(
                message_index=effect.message_index,
                probability_change=effect.probability_change,
                changes_leader=effect.changes_leader,
            )
            for effect in explanation.message_effects
        ],
        deciding_message_index=explanation.deciding_message_index,
    )


def _timing_to_proto(times: DecisionTimes) -> v1.Timing:
    return v1.Timing(
        total_duration=duration_to_proto(times.total_s),
        tokenize_duration=duration_to_proto(times.tokenize_s),
        queue_duration=duration_to_proto(times.queue_s) if times.queue_s else None,  # 0: the inference server told none
        inference_duration=duration_to_proto(times.inference_s),
    )


def duration_to_proto(seconds: float) -> Duration:
    """Write seconds as the API does."""
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _in_proto_words(finding: Finding) -> Finding:
    """Translate a finding of the core, which calls the routes of a policy set by that name alone."""
    return replace(finding, field_path="inline_policy_set.routes") if finding.field_path == "routes" else finding


def _message_findings(messages: Iterable[v1.Message]) -> Iterator[Finding]:
    for index, message in enumerate(messages):
        path = f"messages[{index}].role"
        if message.role == v1.Role.ROLE_UNSPECIFIED:
            yield error_at(path, "is unset; say who wrote the message")
        yield from _enum_findings(path, message.role, v1.Role.DESCRIPTOR)


def _option_findings(options: v1.RoutingOptions) -> Iterator[Finding]:
    if options.HasField("min_confidence"):
        yield from _ratio_findings("options.min_confidence", options.min_confidence)
    yield from _enum_findings("options.overflow_behavior", options.overflow_behavior, v1.OverflowBehavior.DESCRIPTOR)
    if options.max_candidates < 0:
        yield error_at("options.max_candidates", f"{options.max_candidates} is negative; send 0 for all")
    yield from _enum_findings("options.turn_kind", options.turn_kind, v1.TurnKind.DESCRIPTOR)
    if options.HasField("switch_margin"):
        yield from _ratio_findings("options.switch_margin", options.switch_margin)
    if options.route_ticket and options.previous_route_id:
        yield error_at("options.route_ticket", "stands beside options.previous_route_id; send one of the two")
    if len(options.route_ticket) > MAX_TICKET_CHARACTERS:
        text = f"{len(options.route_ticket)} characters exceed {MAX_TICKET_CHARACTERS}; send it as it was received"
        yield error_at("options.route_ticket", text)


def _ratio_findings(path: str, value: float) -> Iterator[Finding]:
    if not 0.0 <= value <= 1.0:  # also refuses NaN
        yield error_at(path, f"{value} is outside [0, 1]; confidence is a probability")


def _enum_findings(path: str, value: int, enum: EnumDescriptor) -> Iterator[Finding]:
    if value not in enum.values_by_number:
        yield error_at(path, f"{value} is no {enum.name} this server knows; see the API's enum")


def _revision_findings(revision: str) -> Iterator[Finding]:
    if revision and not _REVISION.fullmatch(revision):
        text = f"{quoted(revision)} is no revision; send one as GetPolicySet tells it: sha256: and 64 hex digits"
        yield error_at("policy_set_revision", text)


def _correlation_id_findings(correlation_id: str) -> Iterator[Finding]:
    if len(correlation_id) > MAX_CORRELATION_ID_CHARACTERS:
        text = f"{len(correlation_id)} characters exceed {MAX_CORRELATION_ID_CHARACTERS}; shorten it"
        yield error_at("correlation_id", text)
