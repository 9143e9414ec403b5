"""Real gRPC servers with tiny servicers, for everything that is a client."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from archrouter import v1

Answer = Callable[[v1.SelectRouteRequest], v1.Decision]
"""What a scripted service decides; it may raise `RefusedError`."""

SERVER_INFO = v1.GetServerInfoResponse(
    version="9.8.7",
    model_version="sha256:" + "0" * 64,
    tier=v1.Tier.TIER_COMPACT,
    max_messages=256,
    inline_policies_enabled=True,
    default_policy_set="policySets/support",
)


class RefusedError(Exception):
    """A call that fails, with the rich status the real service would send."""

    def __init__(self, code: grpc.StatusCode, message: str, *details: Message) -> None:
        """Keep code, message and details."""
        super().__init__(message)
        self.code = code
        status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=message)
        for detail in details:
            status.details.add().Pack(detail)
        self.status = status

    @property
    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """Return the rich status as it travels, and a decision id."""
        return (*rpc_status.to_status(self.status).trailing_metadata, ("archrouter-decision-id", "decision-1"))


def refused(code: grpc.StatusCode, reason: str = "", **metadata: str) -> RefusedError:
    """Make a failure with an ErrorInfo."""
    info = error_details_pb2.ErrorInfo(reason=reason, domain="archrouter", metadata=metadata)
    return RefusedError(code, f"refused with {code.name}", *([info] if reason else []))


def overloaded(*, retry_after_s: float) -> RefusedError:
    """Make the refusal of a server that has no room, with the wait that it advises."""
    info = error_details_pb2.ErrorInfo(reason="ERROR_REASON_OVERLOADED", domain="archrouter")
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromNanoseconds(round(retry_after_s * 1e9))
    return RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "no room", info, retry)


def matched(route_id: str, confidence: float = 0.75) -> v1.Decision:
    """Make a decision for a route."""
    return v1.Decision(
        decision_id="decision-1",
        outcome=v1.Outcome.OUTCOME_MATCHED,
        route_id=route_id,
        models=[v1.ModelTarget(model=f"models/{route_id}")],
        confidence=confidence,
        policy_set="policySets/support",
    )


def no_match(confidence: float = 0.75) -> v1.Decision:
    """Make a decision for no route."""
    return v1.Decision(
        decision_id="decision-1",
        outcome=v1.Outcome.OUTCOME_NO_MATCH,
        models=[v1.ModelTarget(model="models/fallback")],
        confidence=confidence,
        policy_set="policySets/support",
    )


class ScriptedService(v1.RoutingServiceServicer):
    """A synchronous service that answers as told.

    Attributes:
        requests: Every request, in order of arrival.
        metadata: Metadata of every request, in the same order.
        remaining_s: Time every request left, in seconds, in the same order.
    """

    def __init__(self, answer: Answer) -> None:
        """Answer every request by `answer`."""
        self._answer = answer
        self.requests: list[v1.SelectRouteRequest] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.remaining_s: list[float] = []

    def SelectRoute(  # noqa: N802  # the name is gRPC's
        self, request: v1.SelectRouteRequest, context: grpc.ServicerContext
    ) -> v1.SelectRouteResponse:
        """Answer as told, or fail as told."""
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.remaining_s.append(context.time_remaining())
        try:
            decision = self._answer(request)
        except RefusedError as error:
            context.set_trailing_metadata(error.trailing_metadata)
            context.abort(error.code, str(error))
        return v1.SelectRouteResponse(decision=decision, correlation_id=request.correlation_id)

    def GetServerInfo(  # noqa: N802  # the name is gRPC's
        self, request: v1.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> v1.GetServerInfoResponse:
        """Return `SERVER_INFO`."""
        del request, context
        return SERVER_INFO

    def BatchSelectRoutes(  # noqa: N802  # the name is gRPC's
        self, request: v1.BatchSelectRoutesRequest, context: grpc.ServicerContext
    ) -> v1.BatchSelectRoutesResponse:
        """Fail: nobody here asks for batches."""
        del request
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the scripted service has no batch")


@contextmanager
def serving(service: v1.RoutingServiceServicer, credentials: grpc.ServerCredentials | None = None) -> Iterator[str]:
    """Serve on a free port of the loopback interface and give its HOST:PORT."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    v1.add_RoutingServiceServicer_to_server(service, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


class AsyncScriptedService(v1.RoutingServiceServicer):
    """An asynchronous service that answers as told."""

    def __init__(self, answer: Callable[[v1.SelectRouteRequest], Awaitable[v1.Decision]]) -> None:
        """Answer every request by `answer`."""
        self._answer = answer

    async def SelectRoute(  # noqa: N802  # the name is gRPC's
        self,
        request: v1.SelectRouteRequest,
        context: grpc.aio.ServicerContext[v1.SelectRouteRequest, v1.SelectRouteResponse],
    ) -> v1.SelectRouteResponse:
        """Answer as told, or fail as told."""
        try:
            decision = await self._answer(request)
        except RefusedError as error:
            await context.abort(error.code, str(error), error.trailing_metadata)
        return v1.SelectRouteResponse(decision=decision)

    async def GetServerInfo(  # noqa: N802  # the name is gRPC's
        self,
        request: v1.GetServerInfoRequest,
        context: grpc.aio.ServicerContext[v1.GetServerInfoRequest, v1.GetServerInfoResponse],
    ) -> v1.GetServerInfoResponse:
        """Return `SERVER_INFO`."""
        del request, context
        return SERVER_INFO

    async def BatchSelectRoutes(  # noqa: N802  # the name is gRPC's
        self,
        request: v1.BatchSelectRoutesRequest,
        context: grpc.aio.ServicerContext[v1.BatchSelectRoutesRequest, v1.BatchSelectRoutesResponse],
    ) -> v1.BatchSelectRoutesResponse:
        """Fail: nobody here asks for batches."""
        del request
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "the scripted service has no batch")


@asynccontextmanager
async def serving_async(service: AsyncScriptedService) -> AsyncIterator[str]:
    """Serve from a `grpc.aio` server on a free port of the loopback interface and give its HOST:PORT."""
    server = grpc.aio.server()
    v1.add_RoutingServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
