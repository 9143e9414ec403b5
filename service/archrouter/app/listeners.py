"""The addresses to listen on: refused in clear words before anything has started."""

import socket
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry, start_http_server

from archrouter.config import split_address


def check_can_listen(address: str, key: str) -> None:
    """Raise OSError, with the setting, for a HOST:PORT that cannot be bound, as long as that costs nothing yet.

    Several processes of one host may share it.
    """
    host, port = split_address(address)
    try:
        places = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        if not any(_can_bind(family, place) for family, _, _, _, place in places):
            raise _cannot_listen(address, key)
    except socket.gaierror as error:
        raise _cannot_listen(address, key) from error


def _can_bind(family: int, place: tuple[object, ...]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError:
            return False
    return True


def reserve_port(address: str, stack: AsyncExitStack) -> str:
    """Hold the port of HOST:PORT until the stack is closed, and return the address with the port that is held.

    The socket is bound, but does not listen: connections reach the processes that share the port with it.
    """
    host, port = split_address(address)
    family, _, _, _, place = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    held = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(place)
    return f"{address.rpartition(':')[0]}:{held.getsockname()[1]}"


def serve_metrics(address: str, registry: CollectorRegistry, stack: AsyncExitStack) -> None:
    """Serve ``/metrics`` on HOST:PORT until the stack is closed; nowhere when the address is empty."""
    if not address:
        return
    host, port = split_address(address)
    try:
        server, thread = start_http_server(port, addr=host or "0.0.0.0", registry=registry)  # noqa: S104
    except OSError as error:
        raise _cannot_listen(address, "metrics.listen") from error
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)


def _cannot_listen(address: str, key: str) -> OSError:
    return OSError(f"cannot listen on {address!r} ({key}); is the address this machine's, and the port free?")
