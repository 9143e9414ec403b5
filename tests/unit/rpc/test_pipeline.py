"""Which calls the pipeline surrounds, what each method needs, and ids of decisions."""

import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from archrouter import v1
from archrouter.observability.metrics import Metrics
from archrouter.rpc.admission import Admission
from archrouter.rpc.authentication.scopes import REQUIRED_SCOPES, RpcMethod
from archrouter.rpc.health import Health
from archrouter.rpc.pipeline import _THIS_MACHINE, CallPipeline, new_decision_id

Handler = Any  # grpc's handler class has no type arguments at run time

SELECT_ROUTE = "/archrouter.v1.RoutingService/SelectRoute"
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def never_called(request: object, context: object) -> object:
    """Stand in for a handler."""
    raise AssertionError(request, context)


def finder(handler: Handler) -> Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]:
    """Build what finds a handler for the pipeline."""

    async def find(_details: grpc.HandlerCallDetails) -> Handler:
        return handler

    return find


async def surrounded(path: str, handler: Handler) -> Handler:
    """Let the pipeline see a call."""
    details = SimpleNamespace(method=path, invocation_metadata=())
    metrics = Metrics(CollectorRegistry(), version="1.2.3")
    admission = Admission(1, 0.0, metrics.admission_limit.set)
    pipeline = CallPipeline(
        metrics, Health(), None, admission, max_request_bytes=1024, default_deadline_s=1.0, max_budget_s=1.0
    )
    return await pipeline.intercept_service(finder(handler), details)


async def test_unary_call_of_the_api_is_surrounded() -> None:
    """A unary method of the API gets a handler of the pipeline's own, which sends the same messages."""
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


def test_decision_ids_are_distinct_uuids_of_version_7() -> None:
    """Two decisions never share an id, and an id has the form of RFC 9562."""
    ids = {new_decision_id() for _ in range(1000)}

    assert 1000 == len(ids)
    assert all(UUID7.fullmatch(one) for one in ids)


def test_decision_ids_are_ordered_by_time() -> None:
    """Sorting ids sorts decisions."""
    ids = [new_decision_id() for _ in range(1000)]

    assert sorted(ids) == ids


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("ipv4:127.0.0.1:50412", True),
        ("ipv4:127.8.9.10:50412", True),
        ("ipv6:[::1]:50412", True),
        ("ipv6:%5B::1%5D:50412", True),
        ("ipv6:%5B::ffff:127.0.0.1%5D:50412", True),
        ("unix:/run/archrouter.sock", True),
        ("unix:", True),
        ("ipv4:128.0.0.1:50412", False),
        ("ipv4:10.127.0.1:50412", False),
        ("ipv6:[::11]:50412", False),
        ("ipv6:%5B2001:db8::1%5D:50412", False),
        ("ipv6:%5B::ffff:10.0.0.1%5D:50412", False),
        ("", False),
    ],
)
def test_only_the_peers_of_this_machine_are_taken_for_its_operator(peer: str, *, expected: bool) -> None:
    """The forms are those of gRPC's C core, which escapes brackets (grpc/grpc, src/core/lib/address_utils)."""
    assert expected == bool(_THIS_MACHINE.match(peer))
