"""The gRPC API `archrouter.v1`: messages, enums, client stubs and servicer base classes.

This file is written by hand; the modules it gathers are generated from ``protos/`` by ``make proto``.
A stub over a `grpc.aio` channel has the type `RoutingServiceAsyncStub` or `PolicyServiceAsyncStub`. The two exist
for type checkers only: import them under ``TYPE_CHECKING``.
"""

from typing import TYPE_CHECKING

from archrouter.v1.decision_pb2 import (
    Candidate,
    CandidateKind,
    Decision,
    DecisionReason,
    Explanation,
    MessageEffect,
    Outcome,
    Tier,
    Timing,
    Usage,
    Warning,  # noqa: A004  # the message's name in the API; a client that needs the builtin imports this as another name
    WarningCode,
)
from archrouter.v1.error_reason_pb2 import ErrorReason
from archrouter.v1.policy_pb2 import ModelTarget, PolicyFinding, PolicySet, RoutePolicy, Severity
from archrouter.v1.policy_service_pb2 import (
    GetPolicySetRequest,
    GetPolicySetResponse,
    ListPolicySetsRequest,
    ListPolicySetsResponse,
    RejectedPolicySource,
    ReloadedPolicySet,
    ReloadPolicySetsRequest,
    ReloadPolicySetsResponse,
    ValidatePolicySetRequest,
    ValidatePolicySetResponse,
)
from archrouter.v1.policy_service_pb2_grpc import (
    PolicyServiceServicer,
    PolicyServiceStub,
    add_PolicyServiceServicer_to_server,
)
from archrouter.v1.routing_service_pb2 import (
    BatchSelectRoutesRequest,
    BatchSelectRoutesResponse,
    DecisionView,
    GetServerInfoRequest,
    GetServerInfoResponse,
    Message,
    OverflowBehavior,
    Role,
    RoutingMode,
    RoutingOptions,
    SelectRouteRequest,
    SelectRouteResponse,
    SelectRouteResult,
    TurnKind,
)
from archrouter.v1.routing_service_pb2_grpc import (
    RoutingServiceServicer,
    RoutingServiceStub,
    add_RoutingServiceServicer_to_server,
)

if TYPE_CHECKING:
    from archrouter.v1.policy_service_pb2_grpc import PolicyServiceAsyncStub as PolicyServiceAsyncStub
    from archrouter.v1.routing_service_pb2_grpc import RoutingServiceAsyncStub as RoutingServiceAsyncStub

__all__ = [
    "BatchSelectRoutesRequest",
    "BatchSelectRoutesResponse",
    "Candidate",
    "CandidateKind",
    "Decision",
    "DecisionReason",
    "DecisionView",
    "ErrorReason",
    "Explanation",
    "GetPolicySetRequest",
    "GetPolicySetResponse",
    "GetServerInfoRequest",
    "GetServerInfoResponse",
    "ListPolicySetsRequest",
    "ListPolicySetsResponse",
    "Message",
    "MessageEffect",
    "ModelTarget",
    "Outcome",
    "OverflowBehavior",
    "PolicyFinding",
    "PolicyServiceServicer",
    "PolicyServiceStub",
    "PolicySet",
    "RejectedPolicySource",
    "ReloadPolicySetsRequest",
    "ReloadPolicySetsResponse",
    "ReloadedPolicySet",
    "Role",
    "RoutePolicy",
    "RoutingMode",
    "RoutingOptions",
    "RoutingServiceServicer",
    "RoutingServiceStub",
    "SelectRouteRequest",
    "SelectRouteResponse",
    "SelectRouteResult",
    "Severity",
    "Tier",
    "Timing",
    "TurnKind",
    "Usage",
    "ValidatePolicySetRequest",
    "ValidatePolicySetResponse",
    "Warning",
    "WarningCode",
    "add_PolicyServiceServicer_to_server",
    "add_RoutingServiceServicer_to_server",
]
