"""Domain values as request messages: the client side's counterpart of what the service reads."""

import json
from collections.abc import Iterable, Iterator, Sequence

from google.protobuf import struct_pb2

from archrouter import v1
from archrouter.domain.conversation import Message, Role
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy

_ROLES = {role: v1.Role.Value(f"ROLE_{role.name}") for role in Role}


def request_messages(messages: Sequence[Message]) -> list[v1.Message]:
    """Write a conversation, oldest message first."""
    return [v1.Message(role=_ROLES[message.role], content=message.content) for message in messages]


def inline_policy_set(policy_set: PolicySet) -> v1.PolicySet:
    """Write a valid policy set that travels with a request; the service gives it the same revision."""
    return v1.PolicySet(
        name=policy_set_name(policy_set.id),
        description=policy_set.description,
        routes=[_route(route) for route in policy_set.routes],
        fallback_models=[_model_target(target) for target in policy_set.fallback_models],
        min_confidence=policy_set.min_confidence,
    )


def inline_requests(
    questions: Iterable[tuple[PolicySet, Sequence[Message]]], view: v1.DecisionView.ValueType
) -> Iterator[v1.SelectRouteRequest]:
    """Ask about conversations, each by a policy set that travels with it; a set is written once for all its calls."""
    written: dict[int, tuple[PolicySet, v1.PolicySet]] = {}  # with the set itself, whose id nothing else may get
    for policy_set, messages in questions:
        if id(policy_set) not in written:
            written[id(policy_set)] = (policy_set, inline_policy_set(policy_set))
        inline = written[id(policy_set)][1]
        yield v1.SelectRouteRequest(messages=request_messages(messages), inline_policy_set=inline, view=view)


def policy_set_name(policy_set_id: str) -> str:
    """Write the resource name of a loaded policy set: ``policySets/{id}``."""
    return f"policySets/{policy_set_id}"


def _route(route: RoutePolicy) -> v1.RoutePolicy:
    return v1.RoutePolicy(
        id=route.id,
        domain=route.domain,
        action=route.action,
        description=route.description,
        models=[_model_target(target) for target in route.models],
        min_confidence=route.min_confidence,
        examples=route.examples,
        not_examples=route.not_examples,
    )


def _model_target(target: ModelTarget) -> v1.ModelTarget:
    values = json.loads(target.parameters_json)
    if not values:
        return v1.ModelTarget(model=target.model)
    parameters = struct_pb2.Struct()
    parameters.update(values)
    return v1.ModelTarget(model=target.model, parameters=parameters)
