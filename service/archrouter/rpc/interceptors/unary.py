"""The base of this package's interceptors: unary calls of this API; everything else passes untouched.

Health and reflection are thereby exempt: probes and tools reach them without credentials and under any load.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import grpc
from grpc import aio

API_PATH_PREFIX = "/archrouter.v1."

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
Context: TypeAlias = aio.ServicerContext[Any, Any]  # Any: an interceptor serves every message type
Behaviour: TypeAlias = Callable[[RequestT, Context], Awaitable[ResponseT]]

if TYPE_CHECKING:  # generic in the type stubs only
    Continuation: TypeAlias = Callable[
        [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[RequestT, ResponseT] | None]
    ]


@dataclass(frozen=True, slots=True)
class RpcMethod:
    """A method of the API.

    Attributes:
        rpc_service: Full service name, e.g. ``archrouter.v1.RoutingService``.
        rpc_method: Method name, e.g. ``SelectRoute``.
    """

    rpc_service: str
    rpc_method: str

    @classmethod
    def from_path(cls, path: str) -> "RpcMethod":
        """Read a method out of an HTTP/2 path.

        Args:
            path: ``/{service}/{method}``.

        Returns:
            The method.
        """
        _, rpc_service, rpc_method = path.split("/")
        return cls(rpc_service, rpc_method)


class UnaryInterceptor(aio.ServerInterceptor):
    """Surrounds the unary calls of this API."""

    @abstractmethod
    async def intercept(
        self, method: RpcMethod, request: RequestT, context: Context, proceed: Behaviour[RequestT, ResponseT]
    ) -> ResponseT:
        """Surround one call.

        Args:
            method: Which method is called.
            request: Its request.
            context: Its gRPC context.
            proceed: What answers the call: the next interceptor, or the servicer.

        Returns:
            The response.
        """

    async def intercept_service(
        self,
        continuation: "Continuation[RequestT, ResponseT]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[RequestT, ResponseT] | None":
        """Give gRPC the handler of a call, surrounded if it is a unary call of this API.

        Args:
            continuation: Finds the handler.
            handler_call_details: Names the method.

        Returns:
            The handler; None where the server has no such method.
        """
        handler = await continuation(handler_call_details)
        path = handler_call_details.method
        if handler is None or handler.unary_unary is None or not path.startswith(API_PATH_PREFIX):
            return handler
        return self.surround(RpcMethod.from_path(path), handler)

    def surround(
        self, method: RpcMethod, handler: "grpc.RpcMethodHandler[RequestT, ResponseT]"
    ) -> "grpc.RpcMethodHandler[RequestT, ResponseT]":
        """Put `intercept` around a handler.

        Args:
            method: What the handler answers.
            handler: A unary handler.

        Returns:
            A handler with the same messages.
        """
        # The type stubs describe handlers of synchronous servers; those of grpc.aio are coroutine functions.
        proceed = cast("Behaviour[RequestT, ResponseT]", handler.unary_unary)

        async def behaviour(request: RequestT, context: Context) -> ResponseT:
            return await self.intercept(method, request, context, proceed)

        return grpc.unary_unary_rpc_method_handler(behaviour, handler.request_deserializer, handler.response_serializer)
