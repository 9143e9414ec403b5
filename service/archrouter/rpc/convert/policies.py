"""Policy sets and what there is to say about them, between the wire's messages and the domain's values."""

import json
from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.struct_pb2 import Struct, Value

from archrouter import v1
from archrouter.application.policy_store import LoadedPolicySet, PolicySnapshot
from archrouter.domain.findings import Finding, Severity, error_at, has_errors
from archrouter.domain.policy import (
    MAX_EXAMPLES,
    MAX_ROUTES,
    ModelTarget,
    PolicySet,
    RoutePolicy,
    check_policy_set,
    derive_route_id,
)
from archrouter.rpc.convert.routing import name_findings, policy_set_id, policy_set_name, target_to_proto

INLINE_POLICY_SET_ID = "inline"
"""Id of an inline policy set that came without a name."""

MAX_MODELS = 16
MAX_PARAMETER_BYTES = 4096
"""Bounds of a message that policy files do not have: models in one list, and parameters of one model. An empty entry
takes two bytes of the wire, so that one request could hold two million of them."""

MAX_EXACT_INTEGER = 2**53
"""Above it a double no longer tells neighbouring integers apart."""

SEVERITIES = {Severity.ERROR: v1.Severity.SEVERITY_ERROR, Severity.WARNING: v1.Severity.SEVERITY_WARNING}

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

_PROTO_FIELD_OF_DOMAIN_FIELD = {"policy_set": "name", "fallback": "fallback_models"}
"""Fields that have another name in the policy file, which the domain's findings go by, than in the proto."""


def proto_field_path(field_path: str) -> str:
    """Translate the field path of a domain finding: ``fallback[0].model`` becomes ``fallback_models[0].model``."""
    first, bracket, rest = field_path.partition("[")
    return _PROTO_FIELD_OF_DOMAIN_FIELD.get(first, first) + bracket + rest


def struct_to_json(struct: Struct) -> str:
    """Write a struct as canonical JSON, keys sorted, no spaces; ValueError for a number that is not finite.

    A Struct knows doubles only. Whole numbers up to `MAX_EXACT_INTEGER` are written without a fraction, so that
    ``temperature: 0`` of a policy file and the same number sent inline are the same text, hence the same revision.
    """
    return json.dumps(
        _from_fields(struct.fields), ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False
    )


def policy_set_from_proto(message: v1.PolicySet) -> tuple[PolicySet, tuple[Finding, ...]]:
    """Read a policy set as its author wrote it, without checking its rules; output-only fields are ignored.

    Each value that the set cannot hold and therefore lacks is an error: a name that is no resource name,
    parameters that are not JSON.
    """
    findings: list[Finding] = []
    identifier = policy_set_id(message.name) if message.name else INLINE_POLICY_SET_ID
    if identifier is None:
        findings.extend(name_findings("policy_set", message.name))
    routes = tuple(
        RoutePolicy(
            id=route.id or derive_route_id(route.domain, route.action),
            domain=route.domain,
            action=route.action,
            description=route.description,
            models=_targets_from_proto(route.models, f"routes[{index}].models", findings),
            min_confidence=route.min_confidence if route.HasField("min_confidence") else None,
            examples=tuple(route.examples),
            not_examples=tuple(route.not_examples),
        )
        for index, route in enumerate(message.routes)
    )
    policy_set = PolicySet(
        id=identifier or INLINE_POLICY_SET_ID,
        description=message.description,
        routes=routes,
        fallback_models=_targets_from_proto(message.fallback_models, "fallback", findings),
        min_confidence=message.min_confidence if message.HasField("min_confidence") else None,
    )
    return policy_set, tuple(findings)


def checked_policy_set_from_proto(message: v1.PolicySet) -> tuple[PolicySet | None, tuple[Finding, ...]]:
    """Read a policy set and check its rules. Takes milliseconds for hundreds of routes, none for too large a set.

    Returns:
        The set, its revision known, or None when it breaks a rule, and the findings with proto field paths.
    """
    too_large = tuple(_size_findings(message))
    if too_large:
        return None, too_large
    policy_set, findings = policy_set_from_proto(message)
    findings = tuple(
        Finding(finding.severity, proto_field_path(finding.field_path), finding.message)
        for finding in (*findings, *check_policy_set(policy_set))
    )
    if has_errors(findings):
        return None, findings
    _ = policy_set.revision  # kept by the set, so that the next caller does not wait for it
    return policy_set, findings


def policy_set_to_proto(policy_set: PolicySet) -> v1.PolicySet:
    """Write a valid policy set with its revision and without a time of activation."""
    return v1.PolicySet(
        name=policy_set_name(policy_set.id),
        description=policy_set.description,
        routes=[_route_to_proto(route) for route in policy_set.routes],
        fallback_models=map(target_to_proto, policy_set.fallback_models),
        min_confidence=policy_set.min_confidence,
        revision=policy_set.revision,
    )


def loaded_policy_set_to_proto(loaded: LoadedPolicySet) -> v1.PolicySet:
    """Write a policy set that is being served, with the time since when it is."""
    message = policy_set_to_proto(loaded.policy_set)
    message.activate_time.FromDatetime(loaded.activate_time)
    return message


def validation_to_proto(policy_set: PolicySet | None, findings: tuple[Finding, ...]) -> v1.ValidatePolicySetResponse:
    """Write what became of a check; the set is None when it is not valid."""
    usable = policy_set is not None and not has_errors(findings)
    return v1.ValidatePolicySetResponse(
        valid=usable,
        findings=[_finding_to_proto(finding) for finding in findings],
        revision=policy_set.revision if policy_set is not None and usable else "",
        policy_set=policy_set_to_proto(policy_set) if policy_set is not None and usable else None,
    )


def reload_to_proto(before: PolicySnapshot, after: PolicySnapshot) -> v1.ReloadPolicySetsResponse:
    """Write every set that serves after a reload, and every source that could not be loaded."""
    revisions_before = {loaded.policy_set.revision for loaded in before.loaded.values()}
    return v1.ReloadPolicySetsResponse(
        policy_sets=[
            v1.ReloadedPolicySet(
                name=policy_set_name(loaded.policy_set.id),
                revision=loaded.policy_set.revision,
                changed=loaded.policy_set.revision not in revisions_before,
            )
            for loaded in after.loaded.values()
        ],
        rejected_sources=[
            v1.RejectedPolicySource(
                source=rejected.source, findings=[_finding_to_proto(finding) for finding in rejected.findings]
            )
            for rejected in after.rejected
        ],
    )


def _size_findings(message: v1.PolicySet) -> Iterator[Finding]:
    if len(message.routes) > MAX_ROUTES:
        yield error_at("routes", f"{len(message.routes)} routes exceed {MAX_ROUTES}; split the set")
        return
    for index, route in enumerate(message.routes):
        for name, texts in (("examples", route.examples), ("not_examples", route.not_examples)):
            if len(texts) > MAX_EXAMPLES:
                text = f"{len(texts)} texts exceed {MAX_EXAMPLES}; send the most telling ones"
                yield error_at(f"routes[{index}].{name}", text)
    lists = {f"routes[{index}].models": route.models for index, route in enumerate(message.routes)}
    for path, targets in {**lists, "fallback_models": message.fallback_models}.items():
        if len(targets) > MAX_MODELS:
            yield error_at(path, f"{len(targets)} models exceed {MAX_MODELS}; send the best of them")
            continue
        for index, target in enumerate(targets):
            size = target.parameters.ByteSize()
            if size > MAX_PARAMETER_BYTES:
                text = f"{size} bytes exceed {MAX_PARAMETER_BYTES}; shorten them"
                yield error_at(f"{path}[{index}].parameters", text)


def _finding_to_proto(finding: Finding) -> v1.PolicyFinding:
    return v1.PolicyFinding(
        severity=SEVERITIES[finding.severity],
        field_path=finding.field_path,
        message=finding.message,
        line=finding.line,
        column=finding.column,
    )


def _targets_from_proto(
    targets: Iterable[v1.ModelTarget], path: str, findings: list[Finding]
) -> tuple[ModelTarget, ...]:
    return tuple(_target_from_proto(target, f"{path}[{index}]", findings) for index, target in enumerate(targets))


def _target_from_proto(target: v1.ModelTarget, path: str, findings: list[Finding]) -> ModelTarget:
    try:
        return ModelTarget(target.model, struct_to_json(target.parameters))
    except ValueError:
        text = "holds a number that is not finite, which JSON cannot say; use a finite number or a string"
        findings.append(error_at(f"{path}.parameters", text))
        return ModelTarget(target.model)


def _route_to_proto(route: RoutePolicy) -> v1.RoutePolicy:
    return v1.RoutePolicy(
        id=route.id,
        domain=route.domain,
        action=route.action,
        description=route.description,
        models=map(target_to_proto, route.models),
        min_confidence=route.min_confidence,
        examples=route.examples,
        not_examples=route.not_examples,
    )


def _from_fields(fields: Mapping[str, Value]) -> dict[str, JsonValue]:
    return {key: _from_value(value) for key, value in fields.items()}


def _from_value(value: Value) -> JsonValue:
    match value.WhichOneof("kind"):
        case "bool_value":
            return value.bool_value
        case "string_value":
            return value.string_value
        case "number_value":
            return _from_number(value.number_value)
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case "struct_value":
            return _from_fields(value.struct_value.fields)
        case _:  # null_value, or nothing set, which JSON calls null as well
            return None


def _from_number(number: float) -> int | float:
    return int(number) if number.is_integer() and abs(number) <= MAX_EXACT_INTEGER else number
