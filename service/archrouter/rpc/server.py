"""Builds the gRPC server from its parts."""

from collections.abc import Sequence

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from archrouter import v1
from archrouter.config import ServerSettings
from archrouter.rpc.authentication.scopes import REQUIRED_SCOPES
from archrouter.rpc.dependencies import RpcDependencies
from archrouter.rpc.pipeline import CallPipeline
from archrouter.rpc.policy_servicer import PolicyServicer
from archrouter.rpc.routing_servicer import RoutingServicer
from archrouter.rpc.tls import ServerTls
from archrouter.rpc.tracing import TracingInterceptor

_HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
"""The stable name of what grpcio-reflection serves as v1alpha: the messages have the same fields (grpc/grpc-proto,
grpc/reflection/v1/reflection.proto), so the same servicer answers both. Newer tools ask for this name only."""

TRANSPORT_FACTOR = 4
"""Requests up to so many times `server.max_receive_bytes` are received, so that their refusal can say why.
The transport refuses larger ones, without details."""

LEAST_PING_INTERVAL_MS = 5_000
"""Pings that come more often, a third one in a row, close the connection with ``too_many_pings``."""

KEEPALIVE_TIMEOUT_MS = 20_000
"""How long a client may take to answer a ping; gRPC's own default."""

_API_SERVICES = sorted({method.rpc_service for method in REQUIRED_SCOPES})


def build_server(dependencies: RpcDependencies) -> tuple[aio.Server, int]:
    """Build a server that is bound to its address and has not started.

    To stop it without failing a call: `Health.drain`, wait until load balancers take note, `Health.close`,
    ``server.stop`` with a grace. gRPC cancels calls that come after that, until clients take note: they try them again.

    Args:
        dependencies: What it is built from.

    Returns:
        The server, and the TCP port it is bound to.

    Raises:
        OSError: When the address cannot be bound.
    """
    settings = dependencies.server
    metrics = dependencies.metrics
    admission = dependencies.admission
    pipeline = CallPipeline(
        metrics,
        dependencies.health,
        dependencies.authenticator,
        admission,
        max_request_bytes=settings.max_receive_bytes,
        default_deadline_s=dependencies.routing.default_deadline_s,
        max_budget_s=dependencies.routing.max_budget_s,
    )
    traced = (TracingInterceptor(dependencies.start_span),) if dependencies.start_span else ()
    server = aio.server(interceptors=(*traced, pipeline), options=server_options(settings))
    v1.add_RoutingServiceServicer_to_server(RoutingServicer(dependencies, admission), server)
    v1.add_PolicyServiceServicer_to_server(PolicyServicer(dependencies), server)
    health_pb2_grpc.add_HealthServicer_to_server(dependencies.health, server)
    if settings.reflection_enabled == "true" or (
        settings.reflection_enabled == "auto" and dependencies.authenticator is None
    ):
        _add_reflection(server, (*_API_SERVICES, _HEALTH_SERVICE))
    metrics.start_rpc_series((method.rpc_service, method.rpc_method) for method in REQUIRED_SCOPES)
    return server, _bind(server, settings.listen, dependencies.tls)


def server_options(settings: ServerSettings) -> tuple[tuple[str, int], ...]:
    """List the options of gRPC's C core; times are in milliseconds."""
    return (
        ("grpc.max_receive_message_length", TRANSPORT_FACTOR * settings.max_receive_bytes),
        ("grpc.max_concurrent_streams", settings.max_streams_per_connection),
        ("grpc.max_connection_age_ms", round(settings.max_connection_age_s * 1000)),
        # A connection that ages out closes once its calls are done, or when this has passed.
        ("grpc.max_connection_age_grace_ms", round(settings.shutdown_grace_s * 1000)),
        # Clients of Go ping an idle connection every 10 s at most; gRPC's own rule allows one in two hours and cuts
        # whoever pings more off (grpc/grpc, doc/keepalive.md). Half of it leaves room for pings that get bunched.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_INTERVAL_MS),
        # A client that is gone without a word is found out, and its connection closed.
        ("grpc.keepalive_time_ms", round(settings.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.so_reuseport", 1),  # several processes of one host share the port
    )


def _bind(server: aio.Server, address: str, tls: ServerTls | None) -> int:
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, tls.credentials())
    except RuntimeError as error:
        msg = f"cannot listen on {address!r} (server.listen); is the address this machine's, and the port free?"
        raise OSError(msg) from error


def _add_reflection(server: aio.Server, service_names: Sequence[str]) -> None:
    """Let tools such as grpcurl learn the API from the server itself."""
    servicer = reflection.aio.ReflectionServicer((*service_names, reflection.SERVICE_NAME))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    stable = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_REFLECTION_V1, {"ServerReflectionInfo": stable}),)
    )
