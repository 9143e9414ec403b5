"""How a call begins and ends: admission, deadline, cancellation, listening."""

import asyncio
import socket

import pytest
from grpc import StatusCode, aio
from grpc_status import rpc_status
from tests.support.rpc_service import RpcService, ServiceOptions, eventually, refusal_of, running_service, user_says

from archrouter.config import RoutingSettings, ServerSettings

LISTEN = "127.0.0.1:0"


def open_call(channel: aio.Channel) -> "aio.StreamUnaryCall[bytes, bytes]":
    """Call SelectRoute without sending the request."""
    call: aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary("/archrouter.v1.RoutingService/SelectRoute")
    return call()


def has_counted(service: RpcService, grpc_code: str) -> bool:
    """Say whether the server has counted a SelectRoute that ended with a code."""
    labels = {"rpc_service": "archrouter.v1.RoutingService", "rpc_method": "SelectRoute", "grpc_code": grpc_code}
    return service.metric("archrouter_rpc_requests_total", **labels) == 1


async def test_cancelled_call_stops_the_work_and_frees_its_place() -> None:
    """A caller that gives up cancels the call to the model, and its place is free for the next caller."""
    server = ServerSettings(listen=LISTEN, max_concurrent_calls=1)

    async with running_service(ServiceOptions(server=server)) as service:
        service.backend.gate.clear()
        call = service.routing.SelectRoute(user_says("a refund"))
        await service.backend.waiting.wait()
        call.cancel()
        await asyncio.wait_for(service.backend.cancelled.wait(), timeout=5)
        await eventually(lambda: has_counted(service, "CANCELLED"))
        service.backend.gate.set()
        response = await service.routing.SelectRoute(user_says("a refund"))

    assert "billing" == response.decision.route_id


async def test_expired_deadline_stops_the_work_and_is_counted_as_such(service: RpcService) -> None:
    """A deadline that passes while the model works cancels the work and counts as DEADLINE_EXCEEDED."""
    service.backend.gate.clear()
    await service.channel.channel_ready()  # so that the deadline runs out beside the model, not on the way to it

    with pytest.raises(aio.AioRpcError) as caught:
        await service.routing.SelectRoute(user_says("a refund"), timeout=1)
    await asyncio.wait_for(service.backend.cancelled.wait(), timeout=5)
    await eventually(lambda: has_counted(service, "DEADLINE_EXCEEDED"))

    assert StatusCode.DEADLINE_EXCEEDED == caught.value.code()


@pytest.mark.parametrize(
    ("timeout_s", "least_s", "most_s"),
    [
        pytest.param(None, 1.5, 2.0, id="no_deadline_takes_the_default"),
        pytest.param(30.0, 3.5, 4.0, id="longer_deadline_is_capped"),
        pytest.param(3.0, 2.5, 3.1, id="longer_than_the_default_is_passed_on"),  # the wire rounds it up
        pytest.param(1.0, 0.5, 1.1, id="shorter_deadline_is_passed_on"),
    ],
)
async def test_model_gets_what_is_left_of_the_deadline(timeout_s: float | None, least_s: float, most_s: float) -> None:
    """The model gets the caller's deadline less the time spent, and never more than the server's cap."""
    routing = RoutingSettings(default_deadline_s=2.0, max_budget_s=4.0)
    async with running_service(ServiceOptions(routing=routing)) as service:
        await service.routing.SelectRoute(user_says("a refund"), timeout=timeout_s)

    (given_s,) = service.backend.timeouts_s
    assert least_s < given_s <= most_s


async def test_too_large_request_is_told_its_size() -> None:
    """A request above the size limit is the caller's fault, with both sizes, and never looks like overload."""
    server = ServerSettings(listen=LISTEN, max_receive_bytes=2048)
    request = user_says("x" * 4096)

    async with running_service(ServiceOptions(server=server)) as service:
        refusal = await refusal_of(service.routing.SelectRoute(request))

    expected = {"requestBytes": str(request.ByteSize()), "maxRequestBytes": "2048"}
    assert (StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_TOO_LARGE", expected) == refusal.summary
    assert "server.max_receive_bytes" in refusal.message


async def test_request_of_more_than_four_times_the_limit_is_refused_by_the_transport() -> None:
    """What is larger by far is not even received; without details, which is how clients tell it from overload."""
    server = ServerSettings(listen=LISTEN, max_receive_bytes=2048)

    async with running_service(ServiceOptions(server=server)) as service:
        with pytest.raises(aio.AioRpcError) as caught:
            await service.routing.SelectRoute(user_says("x" * 8192))

    assert StatusCode.RESOURCE_EXHAUSTED == caught.value.code()
    assert rpc_status.from_call(caught.value) is None


async def test_request_that_never_comes_ends_with_the_deadline() -> None:
    """A client that opens a call and sends nothing is not waited for longer than the server's own deadline."""
    async with running_service(ServiceOptions(routing=RoutingSettings(default_deadline_s=0.2))) as service:
        call = open_call(service.channel)

        refusal = await asyncio.wait_for(refusal_of(call), timeout=5)

    expected = {"remainingSeconds": "0.000"}
    assert (StatusCode.DEADLINE_EXCEEDED, "ERROR_REASON_DEADLINE_TOO_SHORT", expected) == refusal.summary


async def test_open_calls_of_one_connection_are_bounded() -> None:
    """A client that opens calls without end keeps no more of them open at the server than the setting allows."""
    server = ServerSettings(listen=LISTEN, max_streams_per_connection=20)

    async with running_service(ServiceOptions(server=server)) as service:
        await service.channel.channel_ready()
        calls = [open_call(service.channel) for _ in range(300)]
        await eventually(lambda: service.metric("archrouter_rpc_in_flight_requests") == 20)
        await asyncio.sleep(0.2)  # for those that would come on top
        in_flight = service.metric("archrouter_rpc_in_flight_requests")
        for call in calls:
            call.cancel()

    assert 20 == in_flight


async def test_call_without_a_message_is_malformed(service: RpcService) -> None:
    """A client that ends its half of a call before it has sent a request is told so."""
    call = open_call(service.channel)
    await call.done_writing()

    refusal = await refusal_of(call)

    assert (StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID") == refusal.summary[:2]


async def test_stop_finishes_calls_in_flight(service: RpcService) -> None:
    """A call that is being answered when the server stops is answered."""
    service.backend.gate.clear()
    call = service.routing.SelectRoute(user_says("a refund"))
    await service.backend.waiting.wait()
    service.health.close()
    stopping = asyncio.create_task(service.server.stop(grace=30))
    await asyncio.sleep(0.05)

    service.backend.gate.set()

    assert "billing" == (await call).decision.route_id
    await stopping


async def test_taken_port_is_reported_with_the_setting() -> None:
    """An address that somebody else holds is an error that names the address and the setting."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(OSError, match=rf"{listen}.*server\.listen"):
            async with running_service(ServiceOptions(server=ServerSettings(listen=listen))):
                pass
