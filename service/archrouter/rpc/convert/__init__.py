"""Between the wire's messages and the domain's values: nothing else maps one to the other."""

from archrouter.rpc.convert.decisions import decision_to_proto, select_route_from_proto, server_info_to_proto
from archrouter.rpc.convert.policies import (
    checked_policy_set_from_proto,
    loaded_policy_set_to_proto,
    policy_set_from_proto,
    policy_set_to_proto,
    reload_to_proto,
    validation_to_proto,
)

__all__ = [
    "checked_policy_set_from_proto",
    "decision_to_proto",
    "loaded_policy_set_to_proto",
    "policy_set_from_proto",
    "policy_set_to_proto",
    "reload_to_proto",
    "select_route_from_proto",
    "server_info_to_proto",
    "validation_to_proto",
]
