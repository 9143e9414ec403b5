"""Clients that are broken, hostile or gone, over real sockets: each is bounded, and the others do not notice."""

import asyncio
import os
import random
import resource
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from grpc import StatusCode, aio
from grpc_status import rpc_status
from tests.support import http2_socket as http2
from tests.support.rpc_service import RpcService, ServiceOptions, eventually, running_service, user_says

from archrouter import v1
from archrouter.config import RoutingSettings, ServerSettings
from archrouter.rpc import server as server_module

IDLE_CONNECTIONS = 2_000
MIB = 1024 * 1024
ENCODED = user_says("a refund").SerializeToString()


@pytest_asyncio.fixture
async def service() -> AsyncIterator[RpcService]:
    """Give a running service."""
    async with running_service() as one:
        yield one


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow this process as many open files as it may have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def answers_promptly(service: RpcService, within_s: float = 2.0) -> bool:
    """Say whether an ordinary client gets its decision; the bound is generous, for machines that are busy."""
    response = await service.routing.SelectRoute(user_says("a refund"), timeout=within_s)
    return "billing" == response.decision.route_id


def resident_bytes() -> int:
    """Read this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    """Count this process's open files."""
    return len(list(Path("/proc/self/fd").iterdir()))


def pinged(port: int, interval_s: float, count: int) -> tuple[int, bool]:
    """Ping an idle connection and return how many pings were answered, and whether the server sent one away."""
    acknowledged, gone = 0, False
    with http2.connected(port, timeout_s=1.0) as connection:
        connection.sendall(http2.PREFACE + http2.settings())
        for number in range(count):
            try:
                connection.sendall(http2.frame(http2.PING, 0, 0, struct.pack(">Q", number)))
            except OSError:
                break
            time.sleep(interval_s)  # this is a thread of its own
        for kind, flags, _, _ in http2.frames(connection):
            acknowledged += kind == http2.PING and flags == http2.ACK
            gone |= kind == http2.GOAWAY
    return acknowledged, gone


async def test_an_idle_client_may_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without calls that pings at twice the least interval, as 10 s are to 5 s, is kept."""
    monkeypatch.setattr(server_module, "LEAST_PING_INTERVAL_MS", 150)

    async with running_service() as service:
        result = await asyncio.to_thread(pinged, service.port, 0.3, 6)

    assert (6, False) == result


async def test_a_flood_of_pings_ends_the_connection(service: RpcService) -> None:
    """Pings without pause are cut off after a few, and nobody else notices."""
    acknowledged, gone = await asyncio.to_thread(pinged, service.port, 0.0, 1000)

    assert gone
    assert acknowledged < 1000
    assert await answers_promptly(service)


async def test_thousands_of_idle_connections_are_carried(many_files: None) -> None:
    """A call is answered beside them, a connection costs little, and all of it is given back."""
    del many_files
    async with running_service() as service:
        files_before, bytes_before = open_files(), resident_bytes()
        connections = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(IDLE_CONNECTIONS)]
        for connection in connections:
            connection.sendall(http2.PREFACE + http2.settings())
        await eventually(lambda: open_files() >= files_before + 2 * IDLE_CONNECTIONS)
        answered = await answers_promptly(service, within_s=5.0)
        bytes_each = (resident_bytes() - bytes_before) / IDLE_CONNECTIONS
        for connection in connections:
            connection.close()
        await eventually(lambda: open_files() <= files_before + 8)

    assert answered
    assert bytes_each < 0.1 * MIB


async def test_clients_that_vanish_free_their_places() -> None:
    """Calls whose connections are reset while the model works are given up, and others get their places."""
    server = ServerSettings(listen="127.0.0.1:0", max_concurrent_calls=4, latency_tolerance=0)

    async with running_service(ServiceOptions(server=server)) as service:
        service.backend.gate.clear()
        for number in range(4):
            with http2.connected(service.port) as connection:
                connection.sendall(http2.PREFACE + http2.settings() + http2.call_headers(1) + http2.message(1, ENCODED))
                await eventually(partial(asked, service, number + 1))
                reset = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)  # close() sends RST
        await eventually(lambda: service.metric("archrouter_rpc_in_flight_requests") == 0)
        service.backend.gate.set()
        answered = await answers_promptly(service)

    assert answered


async def test_a_client_that_never_reads_holds_nothing_up(service: RpcService) -> None:
    """Answers that nobody takes free their places all the same, and memory stays bounded."""
    bytes_before = resident_bytes()
    with http2.connected(service.port) as connection:
        connection.sendall(http2.PREFACE + http2.window(0))
        for stream in range(1, 401, 2):
            connection.sendall(http2.call_headers(stream) + http2.message(stream, ENCODED))
        await eventually(lambda: decisions(service) + refusals(service) == 200)
        await eventually(lambda: service.metric("archrouter_rpc_in_flight_requests") == 0)
        answered = await answers_promptly(service)
        grown = resident_bytes() - bytes_before

    assert answered
    assert grown < 50 * MIB


def asked(service: RpcService, count: int) -> bool:
    """Say whether the model has been asked so often."""
    return count == len(service.backend.timeouts_s)


def decisions(service: RpcService) -> float:
    """Count the decisions of a service."""
    return service.metric("archrouter_decisions_total", policy_set="support", outcome="matched") or 0.0


def refusals(service: RpcService) -> float:
    """Count the calls that a service refused for lack of room."""
    labels = {"rpc_service": "archrouter.v1.RoutingService", "rpc_method": "SelectRoute"}
    return service.metric("archrouter_rpc_requests_total", **labels, grpc_code="RESOURCE_EXHAUSTED") or 0.0


async def test_a_flood_of_resets_is_bounded(service: RpcService) -> None:
    """Streams that are opened and cancelled at once, thousands of them (CVE-2023-44487), leave nothing behind."""
    bytes_before = resident_bytes()
    await asyncio.to_thread(flood, service.port, (http2.call_headers, reset_stream), 2_000)
    await eventually(lambda: service.metric("archrouter_rpc_in_flight_requests") == 0)

    assert await answers_promptly(service)
    assert resident_bytes() - bytes_before < 50 * MIB


def reset_stream(stream: int) -> bytes:
    """Cancel a stream."""
    return http2.frame(http2.RST_STREAM, 0, stream, struct.pack(">I", http2.CANCEL))


def empty_settings(_stream: int) -> bytes:
    """Change nothing, which the peer must acknowledge."""
    return http2.settings()


def flood(port: int, parts: tuple[Callable[[int], bytes], ...], count: int) -> None:
    """Send frames as fast as they go, until the server closes the connection if it does."""
    with http2.connected(port) as connection:
        connection.sendall(http2.PREFACE + http2.settings())
        try:
            for number in range(count):
                connection.sendall(b"".join(part(2 * number + 1) for part in parts))
        except OSError:
            return


async def test_a_flood_of_settings_is_bounded(service: RpcService) -> None:
    """Frames that each ask for an acknowledgement nobody reads (CVE-2019-9515) fill no memory."""
    bytes_before = resident_bytes()
    await asyncio.to_thread(flood, service.port, (empty_settings,), 50_000)

    assert await answers_promptly(service)
    assert resident_bytes() - bytes_before < 50 * MIB


async def test_headers_without_end_are_bounded(service: RpcService) -> None:
    """A header block that goes on for ever (CVE-2024-27316) is cut off."""
    bytes_before = resident_bytes()

    def endless() -> int:
        sent = 0
        with http2.connected(service.port) as connection:
            connection.sendall(http2.PREFACE + http2.settings() + http2.frame(http2.HEADERS, 0, 1))
            try:
                for number in range(20_000):
                    field = b"\x00\x04" + f"x{number % 1000:03d}".encode() + b"\x7f\x81\x02" + b"v" * 384
                    connection.sendall(http2.frame(http2.CONTINUATION, 0, 1, field))
                    sent += 1
            except OSError:
                pass
        return sent

    await asyncio.to_thread(endless)

    assert await answers_promptly(service)
    assert resident_bytes() - bytes_before < 50 * MIB


@pytest.mark.parametrize(
    "spoken",
    [b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", os.urandom(512), b""],
    ids=["http_1", "tls", "noise", "nothing"],
)
async def test_a_client_of_another_protocol_is_closed_or_left_alone(service: RpcService, spoken: bytes) -> None:
    """What is no HTTP/2 gets no answer of ours, and nobody else notices."""
    with http2.connected(service.port) as connection:
        connection.sendall(spoken)

        assert await answers_promptly(service)
    assert 1 == decisions(service)


async def test_bytes_that_are_no_request_are_the_callers_fault(service: RpcService) -> None:
    """Whatever is sent as a message, the status blames the caller or is a decision; it is never INTERNAL."""
    chance = random.Random(7)  # noqa: S311  # makes test data
    call: aio.UnaryUnaryMultiCallable[bytes, bytes] = service.channel.unary_unary(http2.SELECT_ROUTE)
    codes = set()
    for _ in range(200):
        spoilt = bytearray(ENCODED)
        for _ in range(chance.randint(1, 8)):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        try:
            await call(bytes(spoilt[: chance.randint(1, len(spoilt))]), timeout=5)
            codes.add(StatusCode.OK)
        except aio.AioRpcError as error:
            codes.add(error.code())

    assert codes <= {StatusCode.OK, StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND, StatusCode.FAILED_PRECONDITION}
    assert StatusCode.INVALID_ARGUMENT in codes


async def test_requests_that_are_too_large_do_not_pile_up() -> None:
    """A hundred oversized requests are each told so, and memory is given back."""
    server = ServerSettings(listen="127.0.0.1:0", max_receive_bytes=MIB)
    encoded = b"\x32" + b"\xff\xff\x7f" + b"x" * (2 * MIB)  # a string field of about two million bytes

    async with running_service(ServiceOptions(server=server)) as service:
        bytes_before = resident_bytes()
        call: aio.UnaryUnaryMultiCallable[bytes, bytes] = service.channel.unary_unary(http2.SELECT_ROUTE)
        codes = set()
        for _ in range(100):
            with pytest.raises(aio.AioRpcError) as caught:
                await call(encoded, timeout=5)
            codes.add(caught.value.code())
        grown = resident_bytes() - bytes_before

    assert {StatusCode.INVALID_ARGUMENT} == codes
    assert grown < 100 * MIB


async def test_a_deadline_of_three_milliseconds_gets_its_reason_where_it_can_still_arrive() -> None:
    """Such a call is refused at once, so that some of many learn why instead of running out of time."""
    async with running_service(ServiceOptions(routing=RoutingSettings(min_budget_s=0.005))) as service:
        await service.channel.channel_ready()
        reasons = set()
        for _ in range(300):
            with pytest.raises(aio.AioRpcError) as caught:
                await service.routing.SelectRoute(user_says("a refund"), timeout=0.003)
            assert StatusCode.DEADLINE_EXCEEDED == caught.value.code()
            if rpc_status.from_call(caught.value) is not None:
                reasons.add(caught.value.details())
                break

    assert 1 == len(reasons)
    assert [] == service.backend.timeouts_s


async def test_credentials_for_a_server_that_asks_for_none_break_nothing(service: RpcService) -> None:
    """A second `authorization` header, such as a proxy adds, is nobody's business on an open server."""
    metadata = (("authorization", "Bearer one"), ("authorization", "Basic dHdvOnR3bw=="))

    response = await service.routing.SelectRoute(user_says("a refund"), metadata=metadata)

    assert v1.Outcome.OUTCOME_MATCHED == response.decision.outcome
