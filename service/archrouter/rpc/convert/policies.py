"""Policy sets and what there is to say about them."""

from collections.abc import Iterable, Iterator

from archrouter import v1
from archrouter.application.policy_store import LoadedPolicySet, PolicySnapshot
from archrouter.domain.findings import Finding, Severity, has_errors, quoted
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy, check_policy_set, derive_route_id
from archrouter.rpc.convert.enums import SEVERITIES
from archrouter.rpc.convert.struct_json import json_to_struct, struct_to_json
from archrouter.rpc.resource_names import INLINE_POLICY_SET_ID, policy_set_id, policy_set_name, proto_field_path


def policy_set_from_proto(message: v1.PolicySet) -> tuple[PolicySet, tuple[Finding, ...]]:
    """Read a policy set as its author wrote it, without checking its rules.

    Args:
        message: Any message; its output-only fields are ignored.

    Returns:
        The set, and an error for each value that the set cannot hold and therefore lacks: a name that is no resource
        name, parameters that are not JSON.
    """
    findings: list[Finding] = []
    identifier = policy_set_id(message.name) if message.name else INLINE_POLICY_SET_ID
    if identifier is None:
        text = f"{quoted(message.name)} does not name a policy set; use policySets/{{id}}, the id of a-z, 0-9 and '-'"
        findings.append(Finding(Severity.ERROR, "policy_set", text))
    routes = tuple(
        RoutePolicy(
            id=route.id or derive_route_id(route.domain, route.action),
            domain=route.domain,
            action=route.action,
            description=route.description,
            models=_targets_from_proto(route.models, f"routes[{index}].models", findings),
            min_confidence=route.min_confidence if route.HasField("min_confidence") else None,
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
    """Read a policy set and check its rules.

    Args:
        message: Any message.

    Returns:
        The set, None when it breaks a rule, and the findings with proto field paths.
    """
    policy_set, findings = policy_set_from_proto(message)
    findings = tuple(
        Finding(finding.severity, proto_field_path(finding.field_path), finding.message)
        for finding in (*findings, *check_policy_set(policy_set))
    )
    return None if has_errors(findings) else policy_set, findings


def policy_set_to_proto(policy_set: PolicySet) -> v1.PolicySet:
    """Write a policy set with its revision.

    Args:
        policy_set: A valid set.

    Returns:
        The message, without a time of activation.
    """
    return v1.PolicySet(
        name=policy_set_name(policy_set.id),
        description=policy_set.description,
        routes=[_route_to_proto(route) for route in policy_set.routes],
        fallback_models=targets_to_proto(policy_set.fallback_models),
        min_confidence=policy_set.min_confidence,
        revision=policy_set.revision,
    )


def loaded_policy_set_to_proto(loaded: LoadedPolicySet) -> v1.PolicySet:
    """Write a policy set that is being served.

    Args:
        loaded: The set and since when it serves.

    Returns:
        The complete message.
    """
    message = policy_set_to_proto(loaded.policy_set)
    message.activate_time.FromDatetime(loaded.activate_time)
    return message


def validation_to_proto(policy_set: PolicySet | None, findings: tuple[Finding, ...]) -> v1.ValidatePolicySetResponse:
    """Write what became of a check.

    Args:
        policy_set: The set; None when it is not valid.
        findings: Everything there is to say about it.

    Returns:
        The answer; a bad set is one, too.
    """
    usable = policy_set is not None and not has_errors(findings)
    return v1.ValidatePolicySetResponse(
        valid=usable,
        findings=[_finding_to_proto(finding) for finding in findings],
        revision=policy_set.revision if policy_set is not None and usable else "",
        policy_set=policy_set_to_proto(policy_set) if policy_set is not None and usable else None,
    )


def reload_to_proto(before: PolicySnapshot, after: PolicySnapshot) -> v1.ReloadPolicySetsResponse:
    """Write what a reload has changed.

    Args:
        before: What served before it.
        after: What serves now.

    Returns:
        Every set that serves now, and every source that could not be loaded.
    """
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


def targets_to_proto(targets: Iterable[ModelTarget]) -> Iterator[v1.ModelTarget]:
    """Write models.

    Args:
        targets: Best first.

    Yields:
        The same, parameters unset where there are none.
    """
    for target in targets:
        parameters = json_to_struct(target.parameters_json)
        yield v1.ModelTarget(model=target.model, parameters=parameters if parameters.fields else None)


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
        findings.append(Finding(Severity.ERROR, f"{path}.parameters", text))
        return ModelTarget(target.model)


def _route_to_proto(route: RoutePolicy) -> v1.RoutePolicy:
    return v1.RoutePolicy(
        id=route.id,
        domain=route.domain,
        action=route.action,
        description=route.description,
        models=targets_to_proto(route.models),
        min_confidence=route.min_confidence,
    )
