"""grpc.health.v1 over the wire."""

import asyncio
import time
from typing import Any, cast

import pytest
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.rpc_service import RpcService, ServiceOptions, running_service, user_says

from archrouter.config import ServerSettings
from archrouter.rpc.health import Component, Health

ROUTING, POLICY = "archrouter.v1.RoutingService", "archrouter.v1.PolicyService"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def statuses(service: RpcService) -> dict[str, int]:
    """Ask for the status of the server and of each of its services."""
    stub = health_pb2_grpc.HealthStub(service.channel)
    return {
        name: (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status for name in ("", ROUTING, POLICY)
    }


def watch(channel: aio.Channel, name: str) -> "aio.UnaryStreamCall[Any, Any]":  # Any: the health stubs have no types
    """Start to watch a service."""
    call: aio.UnaryStreamCall[Any, Any] = health_pb2_grpc.HealthStub(channel).Watch(
        health_pb2.HealthCheckRequest(service=name)
    )
    return call


async def next_status(stream: "aio.UnaryStreamCall[Any, Any]") -> int:
    """Wait for the next status of a watch."""
    response: Any = await asyncio.wait_for(stream.read(), timeout=5)  # Any: the health messages have no types
    return int(response.status)


async def test_health_follows_the_components(service: RpcService) -> None:
    """Without its model the server cannot route, but still shows its policy sets."""
    ready = await statuses(service)
    service.health.set_ready(Component.MODEL, ready=False)
    without_model = await statuses(service)
    service.health.set_ready(Component.MODEL, ready=True)

    assert {"": SERVING, ROUTING: SERVING, POLICY: SERVING} == ready
    assert {"": NOT_SERVING, ROUTING: NOT_SERVING, POLICY: SERVING} == without_model
    assert ready == await statuses(service)


async def test_draining_service_is_not_serving_but_still_answers(service: RpcService) -> None:
    """Calls that load balancers send before they take note of the drain are answered."""
    service.health.drain()

    response = await service.routing.SelectRoute(user_says("a refund"))

    assert {"": NOT_SERVING, ROUTING: NOT_SERVING, POLICY: NOT_SERVING} == await statuses(service)
    assert "billing" == response.decision.route_id


async def test_unknown_service_is_not_found(service: RpcService) -> None:
    """A check of a service this server does not have is NOT_FOUND, as the protocol says."""
    stub = health_pb2_grpc.HealthStub(service.channel)

    with pytest.raises(aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))

    assert StatusCode.NOT_FOUND == caught.value.code()


async def test_watch_of_unknown_service_says_so(service: RpcService) -> None:
    """A watch of a service this server does not have stays open with SERVICE_UNKNOWN, as the protocol says."""
    stream = watch(service.channel, "nobody")

    assert health_pb2.HealthCheckResponse.SERVICE_UNKNOWN == await next_status(stream)


async def test_watcher_hears_of_the_drain_after_another_watcher_left(service: RpcService) -> None:
    """Watchers do not depend on each other."""
    leaving, staying = watch(service.channel, ""), watch(service.channel, "")
    before = [await next_status(leaving), await next_status(staying)]
    leaving.cancel()
    await asyncio.sleep(0.05)  # until the server has noticed

    service.health.drain()

    assert [SERVING, SERVING] == before
    assert NOT_SERVING == await next_status(staying)


async def test_watch_does_not_hold_up_the_shutdown(service: RpcService) -> None:
    """A server with an open watch stops as soon as its calls are done, long before the grace is over."""
    stream = watch(service.channel, "")
    await next_status(stream)
    started_s = time.perf_counter()

    service.health.drain()
    service.health.close()
    await service.server.stop(grace=30)

    assert time.perf_counter() - started_s < 5
    assert NOT_SERVING == await next_status(stream)


async def test_a_watcher_hears_of_a_shutdown_that_begins_while_it_is_told_of_something_else() -> None:
    """What changes while an answer is being sent makes another answer, the last one too."""
    health = Health()
    stream = health.Watch(health_pb2.HealthCheckRequest(service="nobody"), cast("Any", None))
    serving = health.Watch(health_pb2.HealthCheckRequest(service=""), cast("Any", None))
    for component in Component:
        health.set_ready(component, ready=True)
    told = [(await anext(each)).status for each in (stream, serving)]

    health.drain()
    health.close()

    assert [health_pb2.HealthCheckResponse.SERVICE_UNKNOWN, SERVING] == told
    assert [NOT_SERVING] == [response.status async for response in serving]
    assert [] == [response async for response in stream]


async def test_health_is_exempt_from_admission() -> None:
    """A server without a free place still answers its probes."""
    server = ServerSettings(listen="127.0.0.1:0", max_concurrent_calls=1)

    async with running_service(ServiceOptions(server=server)) as service:
        service.backend.gate.clear()
        call = service.routing.SelectRoute(user_says("a refund"))
        await service.backend.waiting.wait()
        ready = await statuses(service)
        service.backend.gate.set()
        await call

    assert {"": SERVING, ROUTING: SERVING, POLICY: SERVING} == ready
