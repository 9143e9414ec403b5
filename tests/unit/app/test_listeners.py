"""Addresses that cannot be listened on are told before anything has started."""

import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry

from archrouter.app import listeners
from archrouter.app.listeners import check_can_listen, serve_metrics


@pytest.fixture
def taken() -> Iterator[str]:
    """Give an address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", ":0", "0.0.0.0:0"])
def test_an_address_that_is_free_may_be_listened_on(address: str) -> None:
    """Nothing is left open."""
    check_can_listen(address, "server.listen")


def test_a_port_that_is_taken_is_told_with_its_setting(taken: str) -> None:
    """Whoever started the service twice reads why."""
    with pytest.raises(OSError, match=rf"cannot listen on '{taken}' \(server\.listen\)"):
        check_can_listen(taken, "server.listen")


def test_a_port_may_be_shared_by_those_who_share() -> None:
    """Several processes of the service listen on one port."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()

        check_can_listen(f"127.0.0.1:{other.getsockname()[1]}", "server.listen")


@pytest.mark.parametrize("address", ["192.0.2.1:50051", "no-such-host.invalid:50051"])
def test_an_address_of_somebody_else_is_told(address: str) -> None:
    """Neither a foreign address nor an unknown name can be bound."""
    with pytest.raises(OSError, match=r"is the address this machine's, and the port free\?"):
        check_can_listen(address, "server.listen")


async def test_metrics_on_a_port_that_is_taken_are_told_with_their_setting(taken: str) -> None:
    """The message names the key, not only the number."""
    async with AsyncExitStack() as stack:
        with pytest.raises(OSError, match=rf"cannot listen on '{taken}' \(metrics\.listen\)"):
            serve_metrics(taken, CollectorRegistry(), stack)


@pytest.mark.parametrize(
    ("address", "host"),
    [("[::1]:9090", "::1"), ("127.0.0.1:9090", "127.0.0.1"), (":9090", "0.0.0.0")],  # noqa: S104  # compared, not bound
)
async def test_metrics_are_served_on_the_host_as_sockets_know_it(
    monkeypatch: pytest.MonkeyPatch, address: str, host: str
) -> None:
    """The brackets of IPv6 belong to the address; no host means every interface."""
    asked: list[tuple[int, str]] = []

    def refuse(port: int, addr: str, registry: CollectorRegistry) -> None:
        del registry
        asked.append((port, addr))
        raise OSError

    monkeypatch.setattr(listeners, "start_http_server", refuse)
    async with AsyncExitStack() as stack:
        with pytest.raises(OSError, match=r"metrics\.listen"):
            serve_metrics(address, CollectorRegistry(), stack)

    assert [(9090, host)] == asked
