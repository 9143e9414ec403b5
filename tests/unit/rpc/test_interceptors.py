"""Which calls the interceptors surround, and what each method needs."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from archrouter import v1
from archrouter.rpc.interceptors.auth import REQUIRED_SCOPES
from archrouter.rpc.interceptors.errors import ErrorInterceptor
from archrouter.rpc.interceptors.unary import RpcMethod

Handler = Any  # grpc's handler class has no type arguments at run time

SELECT_ROUTE = "/archrouter.v1.RoutingService/SelectRoute"


def never_called(request: object, context: object) -> object:
    """Stand in for a handler."""
    raise AssertionError(request, context)


def finder(handler: Handler) -> Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]:
    """Build what finds a handler for the interceptor."""

    async def find(_details: grpc.HandlerCallDetails) -> Handler:
        return handler

    return find


async def surrounded(path: str, handler: Handler) -> Handler:
    """Let an interceptor see a call."""
    details = SimpleNamespace(method=path, invocation_metadata=())
    return await ErrorInterceptor().intercept_service(finder(handler), details)


async def test_unary_call_of_the_api_is_surrounded() -> None:
    """A unary method of the API gets a handler of the interceptor's own, which sends the same messages."""
    handler: Handler = grpc.unary_unary_rpc_method_handler(never_called, None, v1.SelectRouteResponse.SerializeToString)

    result = await surrounded(SELECT_ROUTE, handler)

    assert never_called is not result.unary_unary
    assert handler.response_serializer == result.response_serializer


@pytest.mark.parametrize(
    ("path", "handler"),
    [
        pytest.param("/grpc.health.v1.Health/Check", grpc.unary_unary_rpc_method_handler(never_called), id="health"),
        pytest.param(SELECT_ROUTE, grpc.unary_stream_rpc_method_handler(never_called), id="unary_stream"),
        pytest.param(SELECT_ROUTE, grpc.stream_unary_rpc_method_handler(never_called), id="stream_unary"),
        pytest.param(SELECT_ROUTE, grpc.stream_stream_rpc_method_handler(never_called), id="stream_stream"),
        pytest.param(SELECT_ROUTE, None, id="unknown_method"),
    ],
)
async def test_every_other_call_passes_untouched(path: str, handler: Handler) -> None:
    """What is not a unary method of the API keeps the very handler it had."""
    assert await surrounded(path, handler) is handler


def test_every_method_of_the_api_needs_a_scope() -> None:
    """No method can be added to the API without a decision who may call it."""
    files = (v1.SelectRouteRequest.DESCRIPTOR.file, v1.GetPolicySetRequest.DESCRIPTOR.file)
    methods = {
        RpcMethod(service.full_name, method.name)
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    }

    assert methods == REQUIRED_SCOPES.keys()
