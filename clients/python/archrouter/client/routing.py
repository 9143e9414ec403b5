"""The clients of `archrouter.v1.RoutingService`, for asyncio and for threads."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from archrouter.client.channels import open_blocking_channel, open_channel
from archrouter.client.errors import RoutingError, rpc_errors_translated
from archrouter.client.options import ClientOptions
from archrouter.v1 import (
    BatchSelectRoutesRequest,
    BatchSelectRoutesResponse,
    Decision,
    GetServerInfoRequest,
    GetServerInfoResponse,
    ModelTarget,
    RoutingServiceStub,
    SelectRouteRequest,
    SelectRouteResponse,
)

if TYPE_CHECKING:
    from archrouter.v1 import RoutingServiceAsyncStub

_TRACE_HEADERS = ("traceparent", "tracestate")


@dataclass(frozen=True, slots=True)
class Selection:
    """Models to use, and where they come from.

    Attributes:
        models: Best first.
        decision: What the service decided; None when the caller's own models stand in.
        cause: Why there is no decision; None when there is one.
    """

    models: Sequence[ModelTarget]
    decision: Decision | None = None
    cause: RoutingError | None = None


class _Calls:
    """What both clients know of a call."""

    def __init__(self, options: ClientOptions) -> None:
        self._timeout_s = options.timeout_s
        self._metadata = options.metadata
        self._fail_opens = 0

    @property
    def fail_opens(self) -> int:
        """How many calls of `select_models` returned the caller's own models."""
        return self._fail_opens

    def _seconds(self, timeout_s: float | None) -> float:
        if timeout_s is None:
            return self._timeout_s
        if not 0 < timeout_s < float("inf"):
            msg = f"timeout_s is {timeout_s}; it must be above 0 and finite"
            raise ValueError(msg)
        return timeout_s

    def _headers(self, trace: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
        found = {name: (trace or {}).get(name) for name in _TRACE_HEADERS}
        return (*self._metadata, *((name, value) for name, value in found.items() if value))

    def _fail_open(self, error: RoutingError, default: Sequence[ModelTarget]) -> Selection:
        """Give the caller's models for a fault of the service; raise any other error."""
        if not error.fails_open:
            raise error
        self._fail_opens += 1
        return Selection(default, cause=error)


class RoutingClient(_Calls):
    """Calls the routing service from one event loop: make it there once, use it for all calls, close it.

    ::

        async with RoutingClient(ClientOptions("127.0.0.1:50051")) as client:
            response = await client.select_route(request)
    """

    def __init__(self, options: ClientOptions) -> None:
        """Open a channel; the connection is made with the first call.

        Args:
            options: Target, deadline, security, retries.
        """
        super().__init__(options)
        self._channel = open_channel(options)
        self._stub: RoutingServiceAsyncStub = RoutingServiceStub(self._channel)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Close the channel."""
        await self.close()

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()

    async def select_route(
        self, request: SelectRouteRequest, *, timeout_s: float | None = None, trace: Mapping[str, str] | None = None
    ) -> SelectRouteResponse:
        """Ask for the decision on one conversation.

        Args:
            request: The conversation and how to decide.
            timeout_s: Deadline in seconds, > 0 and finite; None takes that of the options.
            trace: The caller's headers, of which ``traceparent`` and ``tracestate`` are passed on.

        Returns:
            The decision; its models are never empty.

        Raises:
            RoutingError: When there is no decision.
            RuntimeError: When the client belongs to another event loop.
        """
        self._check_loop()
        with rpc_errors_translated():
            return await self._stub.SelectRoute(
                request, timeout=self._seconds(timeout_s), metadata=self._headers(trace)
            )

    async def select_models(
        self,
        request: SelectRouteRequest,
        *,
        default: Sequence[ModelTarget],
        timeout_s: float | None = None,
        trace: Mapping[str, str] | None = None,
    ) -> Selection:
        """Ask which models should answer, and fail open: without a decision in time the caller's own default counts.

        Args:
            request: The conversation and how to decide.
            default: Models to use while the service is away, overloaded, too slow or broken; best first.
            timeout_s: Deadline in seconds, > 0 and finite; None takes that of the options.
            trace: The caller's headers, of which ``traceparent`` and ``tracestate`` are passed on.

        Returns:
            Models, with the decision or the cause that there is none.

        Raises:
            RoutingError: For what the caller has to mend, since a default would hide that for good.
            RuntimeError: When the client belongs to another event loop.
        """
        try:
            response = await self.select_route(request, timeout_s=timeout_s, trace=trace)
        except RoutingError as error:
            return self._fail_open(error, default)
        return Selection(response.decision.models, decision=response.decision)

    async def batch_select_routes(
        self, request: BatchSelectRoutesRequest, *, timeout_s: float | None = None
    ) -> BatchSelectRoutesResponse:
        """Ask for the decisions on several independent conversations.

        Args:
            request: The conversations.
            timeout_s: Deadline of the whole call in seconds, > 0 and finite; None takes that of the options.

        Returns:
            One result for each conversation, in order: a response, or an error of its own.

        Raises:
            RoutingError: When the call as a whole failed.
            RuntimeError: When the client belongs to another event loop.
        """
        self._check_loop()
        with rpc_errors_translated():
            return await self._stub.BatchSelectRoutes(
                request, timeout=self._seconds(timeout_s), metadata=self._metadata
            )

    async def server_info(self, *, timeout_s: float | None = None) -> GetServerInfoResponse:
        """Ask what the server is and what it accepts.

        Args:
            timeout_s: Deadline in seconds, > 0 and finite; None takes that of the options.

        Returns:
            Version, model and limits.

        Raises:
            RoutingError: When the service does not answer, or its model has not answered yet.
            RuntimeError: When the client belongs to another event loop.
        """
        self._check_loop()
        with rpc_errors_translated():
            return await self._stub.GetServerInfo(
                GetServerInfoRequest(), timeout=self._seconds(timeout_s), metadata=self._metadata
            )

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if loop is not self._loop:
            msg = (
                "this RoutingClient belongs to another event loop; make one in each loop, or use BlockingRoutingClient"
            )
            raise RuntimeError(msg)


class BlockingRoutingClient(_Calls):
    """Calls the routing service from any thread: make it once, use it for all calls, close it.

    ::

        with BlockingRoutingClient(ClientOptions("127.0.0.1:50051")) as client:
            response = client.select_route(request)
    """

    def __init__(self, options: ClientOptions) -> None:
        """Open a channel; the connection is made with the first call.

        Args:
            options: Target, deadline, security, retries.
        """
        super().__init__(options)
        self._channel = open_blocking_channel(options)
        self._stub = RoutingServiceStub(self._channel)

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Close the channel."""
        self.close()

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._channel.close()

    def select_route(
        self, request: SelectRouteRequest, *, timeout_s: float | None = None, trace: Mapping[str, str] | None = None
    ) -> SelectRouteResponse:
        """Ask for the decision on one conversation; see `RoutingClient.select_route`."""
        with rpc_errors_translated():
            return self._stub.SelectRoute(request, timeout=self._seconds(timeout_s), metadata=self._headers(trace))

    def select_models(
        self,
        request: SelectRouteRequest,
        *,
        default: Sequence[ModelTarget],
        timeout_s: float | None = None,
        trace: Mapping[str, str] | None = None,
    ) -> Selection:
        """Ask which models should answer, and fail open; see `RoutingClient.select_models`."""
        try:
            response = self.select_route(request, timeout_s=timeout_s, trace=trace)
        except RoutingError as error:
            return self._fail_open(error, default)
        return Selection(response.decision.models, decision=response.decision)

    def server_info(self, *, timeout_s: float | None = None) -> GetServerInfoResponse:
        """Ask what the server is and what it accepts; see `RoutingClient.server_info`."""
        with rpc_errors_translated():
            return self._stub.GetServerInfo(
                GetServerInfoRequest(), timeout=self._seconds(timeout_s), metadata=self._metadata
            )
