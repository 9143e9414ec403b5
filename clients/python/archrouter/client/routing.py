"""The client of `archrouter.v1.RoutingService`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import grpc
import grpc.aio

from archrouter.client.errors import RoutingError, rpc_errors_translated
from archrouter.client.options import ClientOptions
from archrouter.v1 import (
    BatchSelectRoutesRequest,
    BatchSelectRoutesResponse,
    GetServerInfoRequest,
    GetServerInfoResponse,
    ModelTarget,
    RoutingServiceStub,
    SelectRouteRequest,
    SelectRouteResponse,
)

if TYPE_CHECKING:
    from archrouter.v1 import RoutingServiceAsyncStub

_FAIL_OPEN_CODES = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED}
)


class RoutingClient:
    """Calls the routing service. A client holds one channel: make it once, use it for all calls, close it.

    ::

        async with RoutingClient(ClientOptions("127.0.0.1:50051")) as client:
            response = await client.select_route(request)
    """

    def __init__(self, options: ClientOptions) -> None:
        """Open a channel; the connection is made with the first call.

        Args:
            options: Target, deadline, security, retries.
        """
        self._timeout_s = options.timeout_s
        self._channel = open_channel(options)
        self._stub: RoutingServiceAsyncStub = RoutingServiceStub(self._channel)
        token = options.bearer_token
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Close the channel."""
        await self.close()

    async def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        await self._channel.close()

    async def select_route(self, request: SelectRouteRequest, *, timeout_s: float | None = None) -> SelectRouteResponse:
        """Ask for the decision on one conversation.

        Args:
            request: The conversation and how to decide.
            timeout_s: Deadline in seconds, > 0; None takes that of the options.

        Returns:
            The decision; its models are never empty.

        Raises:
            RoutingError: When there is no decision.
        """
        with rpc_errors_translated():
            return await self._stub.SelectRoute(request, timeout=timeout_s or self._timeout_s, metadata=self._metadata)

    async def select_models(
        self, request: SelectRouteRequest, *, default: Sequence[ModelTarget], timeout_s: float | None = None
    ) -> Sequence[ModelTarget]:
        """Ask which models should answer, and fail open: without a decision in time the caller's own default counts.

        Args:
            request: The conversation and how to decide.
            default: Models to use while the service is unavailable, overloaded or too slow; best first.
            timeout_s: Deadline in seconds, > 0; None takes that of the options.

        Returns:
            Models, best first.

        Raises:
            RoutingError: When the request itself is at fault, since a default would hide that for good.
        """
        try:
            response = await self.select_route(request, timeout_s=timeout_s)
        except RoutingError as error:
            if error.code in _FAIL_OPEN_CODES:
                return default
            raise
        return response.decision.models

    async def batch_select_routes(
        self, request: BatchSelectRoutesRequest, *, timeout_s: float | None = None
    ) -> BatchSelectRoutesResponse:
        """Ask for the decisions on several independent conversations.

        Args:
            request: The conversations.
            timeout_s: Deadline of the whole call in seconds, > 0; None takes that of the options.

        Returns:
            One result for each conversation, in order: a response, or an error of its own.

        Raises:
            RoutingError: When the call as a whole failed.
        """
        with rpc_errors_translated():
            return await self._stub.BatchSelectRoutes(
                request, timeout=timeout_s or self._timeout_s, metadata=self._metadata
            )

    async def server_info(self, *, timeout_s: float | None = None) -> GetServerInfoResponse:
        """Ask what the server is and what it accepts.

        Args:
            timeout_s: Deadline in seconds, > 0; None takes that of the options.

        Returns:
            Version, model and limits.

        Raises:
            RoutingError: When the service does not answer, or its model has not answered yet.
        """
        with rpc_errors_translated():
            return await self._stub.GetServerInfo(
                GetServerInfoRequest(), timeout=timeout_s or self._timeout_s, metadata=self._metadata
            )


def open_channel(options: ClientOptions) -> grpc.aio.Channel:
    """Open a channel, for services that have no client here, e.g. the standard health service.

    Args:
        options: Target and security; deadline and token belong to each call.

    Returns:
        A channel that connects with its first call and that the caller closes.
    """
    channel_options = (("grpc.service_config", options.service_config),)
    if options.tls is None:
        return grpc.aio.insecure_channel(options.target, options=channel_options)
    credentials = grpc.ssl_channel_credentials(
        options.tls.root_certificates, options.tls.private_key, options.tls.certificate_chain
    )
    return grpc.aio.secure_channel(options.target, credentials, options=channel_options)
