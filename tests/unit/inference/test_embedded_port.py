"""The embedded Triton's port: nobody else's from when it is known until Triton is done with it."""

import asyncio
import socket
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from archrouter.inference.embedded import EmbeddedTriton
from archrouter.inference.installation import EmbeddedTritonError
from archrouter.inference.triton_supervisor import keep_running


def port_of(triton: EmbeddedTriton) -> int:
    """Read the port of an endpoint."""
    return int(triton.endpoint.rpartition(":")[2])


def test_a_port_is_kept_from_others_before_triton_starts(tmp_path: Path) -> None:
    """Clients are built with it, so it must not be taken meanwhile; afterwards it is free again."""
    triton = EmbeddedTriton(tmp_path, (), 1.0)
    triton.reserve()
    port = port_of(triton)
    with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
        other.bind(("127.0.0.1", port))

    triton.reserve()
    same = port_of(triton)
    triton.close()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))

    assert port == same


def test_an_endpoint_is_not_told_before_there_is_one(tmp_path: Path) -> None:
    """A port that nobody holds would be a guess."""
    with pytest.raises(EmbeddedTritonError, match="has no port yet"):
        _ = EmbeddedTriton(tmp_path, (), 1.0).endpoint


class Server:
    """Ends at once, and cannot be started the first two times."""

    endpoint = "127.0.0.1:1"

    def __init__(self) -> None:
        """Start without a process."""
        self.failures: list[Exception] = [OSError("out of processes"), EmbeddedTritonError("not ready")]
        self.pid: int | None = None

    async def wait_exit(self) -> int:
        """End once."""
        if self.pid is not None:
            await asyncio.Event().wait()
        return -9

    async def start(self) -> None:
        """Fail, or start."""
        if self.failures:
            raise self.failures.pop()
        self.pid = 1

    def log_tail(self) -> str:
        """Say nothing."""
        return ""


async def test_a_server_is_started_again_whatever_kept_it() -> None:
    """A machine that is out of processes for a moment is no reason to give up."""
    server = Server()
    with capture_logs() as logs:
        running = asyncio.ensure_future(keep_running(server, (), restart_delay_s=0.001))  # type: ignore[arg-type]
        async with asyncio.timeout(5):
            while server.pid is None:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
        running.cancel()

    failed = [log["reason"] for log in logs if log["event"] == "embedded_triton_restart_failed"]
    assert ["not ready", "out of processes"] == failed
    assert "embedded_triton_restarted" == logs[-1]["event"]


class Crashing(Server):
    """Starts each time, and ends at once."""

    def __init__(self) -> None:
        """Remember when it was started."""
        super().__init__()
        self.failures = []
        self.started_s: list[float] = []

    async def wait_exit(self) -> int:
        """End."""
        self.pid = None
        return -9

    async def start(self) -> None:
        """Start."""
        await super().start()
        self.started_s.append(asyncio.get_running_loop().time())


async def test_a_server_that_keeps_ending_is_started_ever_more_slowly() -> None:
    """A first crash waits for nothing; a model that crashes on every start does not keep the machine busy."""
    server = Crashing()
    running = asyncio.ensure_future(keep_running(server, (), restart_delay_s=0.01))  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        while len(server.started_s) < 5:
            await asyncio.sleep(0.005)
    running.cancel()

    gaps = [later - earlier for earlier, later in pairwise(server.started_s)]
    assert all(gap >= 0.01 * 2**number for number, gap in enumerate(gaps))


async def test_a_server_that_has_run_for_long_is_started_again_at_once() -> None:
    """The delay is for servers that keep ending, not for one that was killed."""
    server = Crashing()
    running = asyncio.ensure_future(keep_running(server, (), restart_delay_s=60))  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        while not server.started_s:
            await asyncio.sleep(0.001)
    running.cancel()

    assert 1 == len(server.started_s)
