"""The shape of `archrouter.v1` that clients rely on, read from the generated descriptors."""

import json
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2

import archrouter.v1
from archrouter.domain import conversation, decision, findings, policy, scoring, warnings
from archrouter.v1 import decision_pb2, error_reason_pb2, policy_pb2, policy_service_pb2, routing_service_pb2

PROTOS = Path(__file__).parents[3] / "protos" / "archrouter" / "v1"

FILES: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (decision_pb2, error_reason_pb2, policy_pb2, policy_service_pb2, routing_service_pb2)
)
MESSAGES: dict[str, Descriptor] = {
    name: message for file in FILES for name, message in file.message_types_by_name.items()
}
ENUMS: dict[str, EnumDescriptor] = {name: enum for file in FILES for name, enum in file.enum_types_by_name.items()}
SERVICES: dict[str, ServiceDescriptor] = {
    name: service for file in FILES for name, service in file.services_by_name.items()
}

FIELD_NUMBERS = {
    "SelectRouteRequest": {
        "messages": 1,
        "policy_set": 2,
        "inline_policy_set": 3,
        "options": 4,
        "view": 5,
        "correlation_id": 6,
        "policy_set_revision": 7,
    },
    "SelectRouteResponse": {"decision": 1, "correlation_id": 2},
    "BatchSelectRoutesRequest": {"requests": 1},
    "BatchSelectRoutesResponse": {"results": 1},
    "SelectRouteResult": {"response": 1, "error": 2},
    "RoutingOptions": {
        "min_confidence": 1,
        "overflow_behavior": 2,
        "max_candidates": 3,
        "previous_route_id": 4,
        "turn_kind": 5,
        "switch_margin": 6,
        "route_ticket": 7,
    },
    "Message": {"role": 1, "content": 2},
    "PolicySet": {
        "name": 1,
        "description": 2,
        "routes": 3,
        "fallback_models": 4,
        "min_confidence": 5,
        "revision": 6,
        "activate_time": 7,
    },
    "RoutePolicy": {
        "id": 1,
        "domain": 2,
        "action": 3,
        "description": 4,
        "models": 5,
        "min_confidence": 6,
        "examples": 7,
        "not_examples": 8,
    },
    "ModelTarget": {"model": 1, "parameters": 2},
    "Decision": {
        "decision_id": 1,
        "outcome": 2,
        "route_id": 3,
        "models": 4,
        "confidence": 5,
        "candidates": 6,
        "policy_set": 7,
        "policy_set_revision": 8,
        "model_version": 9,
        "warnings": 10,
        "usage": 11,
        "timing": 12,
        "tier": 13,
        "domain": 14,
        "action": 15,
        "kept": 16,
        "cached": 17,
        "reasons": 18,
        "route_ticket": 19,
        "explanation": 20,
    },
    "Explanation": {"runner_up": 1, "lead": 2, "message_effects": 3, "deciding_message_index": 4},
    "MessageEffect": {"message_index": 1, "probability_change": 2, "changes_leader": 3},
    "Candidate": {"kind": 1, "route_id": 2, "probability": 3, "log_probability": 4, "exact": 5},
    "Warning": {"code": 1, "message": 2, "metadata": 3},
    "Usage": {
        "prompt_token_count": 1,
        "engine_call_count": 2,
        "dropped_message_count": 3,
        "dropped_token_count": 4,
        "cached_token_count": 5,
    },
    "Timing": {"total_duration": 1, "tokenize_duration": 2, "queue_duration": 3, "inference_duration": 4},
    "PolicyFinding": {"severity": 1, "field_path": 2, "message": 3, "line": 4, "column": 5},
    "GetServerInfoRequest": {},
    "GetServerInfoResponse": {
        "version": 1,
        "model_version": 2,
        "tier": 3,
        "tokenizer_digest": 4,
        "prompt_template_version": 5,
        "max_prompt_token_count": 6,
        "max_batch_size": 7,
        "max_messages": 8,
        "inline_policies_enabled": 9,
        "default_policy_set": 10,
        "max_request_bytes": 11,
        "max_message_characters": 12,
        "max_inline_routes": 13,
        "max_concurrent_calls": 14,
        "max_budget": 15,
        "default_deadline": 16,
        "min_budget": 17,
        "routing_mode": 18,
        "max_explained_messages": 19,
    },
    "GetPolicySetRequest": {"name": 1},
    "GetPolicySetResponse": {"policy_set": 1},
    "ListPolicySetsRequest": {"page_size": 1, "page_token": 2},
    "ListPolicySetsResponse": {"policy_sets": 1, "next_page_token": 2},
    "ValidatePolicySetRequest": {"inline_policy_set": 1, "yaml": 2},
    "ValidatePolicySetResponse": {"valid": 1, "findings": 2, "revision": 3, "policy_set": 4},
    "ReloadPolicySetsRequest": {},
    "ReloadPolicySetsResponse": {"policy_sets": 1, "rejected_sources": 2},
    "ReloadedPolicySet": {"name": 1, "revision": 2, "changed": 3},
    "RejectedPolicySource": {"source": 1, "findings": 2},
}

ERROR_REASONS = {
    "ERROR_REASON_UNSPECIFIED": 0,
    "ERROR_REASON_REQUEST_INVALID": 1,
    "ERROR_REASON_PROMPT_TOO_LONG": 2,
    "ERROR_REASON_POLICY_SET_INVALID": 3,
    "ERROR_REASON_INLINE_POLICY_DISABLED": 4,
    "ERROR_REASON_POLICY_SET_NOT_FOUND": 5,
    "ERROR_REASON_DEFAULT_POLICY_SET_MISSING": 6,
    "ERROR_REASON_OVERLOADED": 7,
    "ERROR_REASON_BACKEND_UNAVAILABLE": 8,
    "ERROR_REASON_MODEL_NOT_READY": 9,
    "ERROR_REASON_SHUTTING_DOWN": 10,
    "ERROR_REASON_DEADLINE_TOO_SHORT": 11,
    "ERROR_REASON_BACKEND_PROTOCOL": 12,
    "ERROR_REASON_CREDENTIALS_INVALID": 13,
    "ERROR_REASON_PERMISSION_DENIED": 14,
    "ERROR_REASON_INTERNAL": 15,
    "ERROR_REASON_FEATURE_DISABLED": 16,
    "ERROR_REASON_REQUEST_TOO_LARGE": 17,
    "ERROR_REASON_POLICY_SET_REVISION_NOT_FOUND": 18,
}

IDEMPOTENCY = {
    "archrouter.v1.RoutingService.SelectRoute": MethodOptions.NO_SIDE_EFFECTS,
    "archrouter.v1.RoutingService.BatchSelectRoutes": MethodOptions.NO_SIDE_EFFECTS,
    "archrouter.v1.RoutingService.GetServerInfo": MethodOptions.IDEMPOTENCY_UNKNOWN,
    "archrouter.v1.PolicyService.GetPolicySet": MethodOptions.IDEMPOTENCY_UNKNOWN,
    "archrouter.v1.PolicyService.ListPolicySets": MethodOptions.IDEMPOTENCY_UNKNOWN,
    "archrouter.v1.PolicyService.ValidatePolicySet": MethodOptions.IDEMPOTENCY_UNKNOWN,
    "archrouter.v1.PolicyService.ReloadPolicySets": MethodOptions.IDEMPOTENCY_UNKNOWN,
}

DOMAIN_TWINS: dict[str, type[Enum]] = {
    "CandidateKind": decision.CandidateKind,
    "DecisionReason": decision.DecisionReason,
    "Outcome": decision.Outcome,
    "OverflowBehavior": scoring.Overflow,
    "Role": conversation.Role,
    "Severity": findings.Severity,
    "Tier": scoring.Tier,
    "TurnKind": decision.TurnKind,
    "WarningCode": warnings.WarningCode,
}


def test_exported_names_cover_the_whole_api_and_nothing_else() -> None:
    """Every message, enum, stub and servicer of the protos is exported by name, and no other name is."""
    grpc_names = {f"{service}{suffix}" for service in SERVICES for suffix in ("Stub", "Servicer")}
    registrars = {f"add_{service}Servicer_to_server" for service in SERVICES}

    exported = archrouter.v1.__all__

    assert sorted({*MESSAGES, *ENUMS, *grpc_names, *registrars}) == exported


@pytest.mark.parametrize("name", archrouter.v1.__all__)
def test_exported_name_exists(name: str) -> None:
    """Each exported name can be imported at run time."""
    assert hasattr(archrouter.v1, name)


def test_field_numbers_are_pinned() -> None:
    """Every field of every message keeps its name and number, so old clients keep reading new servers."""
    actual = {
        name: {field.name: field.number for field in message.fields} for name, message in sorted(MESSAGES.items())
    }

    assert dict(sorted(FIELD_NUMBERS.items())) == actual


def test_error_reasons_are_pinned() -> None:
    """Every reason of the error table exists under its number, and no other."""
    actual = {value.name: value.number for value in ENUMS["ErrorReason"].values}

    assert ERROR_REASONS == actual


def test_methods_are_unary_with_the_declared_idempotency() -> None:
    """Each RPC is unary, and exactly the decisions promise to have no side effects."""
    methods = [method for service in SERVICES.values() for method in service.methods]

    actual = {method.full_name: method.GetOptions().idempotency_level for method in methods}

    assert IDEMPOTENCY == actual
    assert not any(method.client_streaming or method.server_streaming for method in methods)


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_enum_zero_is_unspecified(name: str) -> None:
    """Zero of each enum means nothing, so that an unset field is never taken for a value."""
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()

    values = ENUMS[name].values

    assert f"{prefix}_UNSPECIFIED" == values[0].name
    assert 0 == values[0].number
    assert all(value.name.startswith(f"{prefix}_") for value in values)


@pytest.mark.parametrize("name", sorted(DOMAIN_TWINS))
def test_enum_has_the_values_of_its_domain_twin(name: str) -> None:
    """An enum of the API and the enum it stands for in the core have the same values, deprecated ones aside."""
    unspecified, *values = ENUMS[name].values
    prefix = unspecified.name.removesuffix("UNSPECIFIED")

    names = [value.name.removeprefix(prefix) for value in values if not value.GetOptions().deprecated]
    assert [member.name for member in DOMAIN_TWINS[name]] == names


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("RoutingOptions", "min_confidence"),
        ("RoutingOptions", "switch_margin"),
        ("PolicySet", "min_confidence"),
        ("RoutePolicy", "min_confidence"),
    ],
)
def test_threshold_tells_zero_from_unset(message: str, field: str) -> None:
    """A threshold of 0 is a choice; leaving it unset falls through to the next level."""
    assert MESSAGES[message].fields_by_name[field].has_presence


def test_policy_source_is_one_of_reference_and_inline() -> None:
    """A request refers to a policy set or carries one, never both."""
    source = MESSAGES["SelectRouteRequest"].oneofs_by_name["policy_source"]

    assert ["policy_set", "inline_policy_set"] == [field.name for field in source.fields]


def test_request_fields_declare_their_behavior() -> None:
    """Every field a caller may set says whether it is required."""
    unmarked = [
        field.full_name
        for message in _reachable({message for name, message in MESSAGES.items() if name.endswith("Request")})
        for field in message.fields
        if "google.api.field_behavior" not in {option.full_name for option, _ in field.GetOptions().ListFields()}
    ]

    assert [] == unmarked


def test_documented_limits_are_the_limits_of_the_core() -> None:
    """The numbers in the comments of policy.proto are those the rules apply."""
    comments = (PROTOS / "policy.proto").read_text(encoding="utf-8")

    assert f"1-{policy.MAX_ROUTES} with distinct ids" in comments
    assert f"1-{policy.MAX_ROUTE_ID_CHARACTERS} printable characters" in comments
    assert f"At most {policy.MAX_DESCRIPTION_CHARACTERS}\n  // characters" in comments
    assert f"`{policy.NO_MATCH_ID}` is reserved" in comments


def test_each_error_reason_shows_a_payload_a_client_can_parse() -> None:
    """The example above each reason is an ErrorInfo of that reason, with keys in lowerCamelCase."""
    text = (PROTOS / "error_reason.proto").read_text(encoding="utf-8")
    documented = re.findall(r"//     (\{\n(?:  //.*\n)+?)  (ERROR_REASON_\w+) = ", text)

    examples = [
        ParseDict(json.loads(comment.replace("  //", "")), error_details_pb2.ErrorInfo()) for comment, _ in documented
    ]

    assert list(ERROR_REASONS)[1:] == [name for _, name in documented]
    assert list(ERROR_REASONS)[1:] == [example.reason for example in examples]
    assert {"archrouter"} == {example.domain for example in examples}
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", key) for example in examples for key in example.metadata)


def _reachable(roots: set[Descriptor]) -> Iterator[Descriptor]:
    """Walk the API's own messages that the roots hold, each once."""
    seen: set[str] = set()
    pending = sorted(roots, key=lambda message: message.full_name)
    while pending:
        message = pending.pop()
        if message.full_name in seen or message.file not in FILES:
            continue
        seen.add(message.full_name)
        pending.extend(field.message_type for field in message.fields if field.message_type is not None)
        yield message
