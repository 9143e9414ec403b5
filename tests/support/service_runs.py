"""The whole service, as a process of its own or in the test's, with a channel to it."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from archrouter.app.service import _Service
from archrouter.config import Settings
from archrouter.rpc.health import WHOLE_SERVER
from archrouter.v1 import Message, Role, RoutingServiceStub, SelectRouteRequest, SelectRouteResponse

READY_TIMEOUT_S = 120.0
EVENT_TIMEOUT_S = 60.0
REQUEST = SelectRouteRequest(
    messages=[Message(role=Role.ROLE_USER, content="Fix the KeyError in this Python function")],
    policy_set="policySets/llm-gateway",
)

SMALL_POLICIES = """
policy_set: llm-gateway
models: {coder: {model: m/coder}, general: {model: m/general}}
fallback: [general]
routes:
  - {id: bug_fixing, description: Finding and fixing a bug, models: [coder]}
  - {id: book_flight, description: Plane tickets and airports, models: [general]}
"""
"""A set that the tiny checkpoint's context holds, under the name that `REQUEST` asks for."""


@dataclass
class Caller:
    """Asks a running service."""

    channel: aio.Channel

    async def select_route(self, *, timeout_s: float = 5.0) -> SelectRouteResponse:
        """Ask for a decision, without retries."""
        response: SelectRouteResponse = await RoutingServiceStub(self.channel).SelectRoute(REQUEST, timeout=timeout_s)
        return response

    async def outcome(self, *, timeout_s: float = 5.0) -> "CallOutcome":
        """Ask for a decision, and say what became of it and how long that took."""
        started_s = time.monotonic()
        code, response = "OK", None
        try:
            response = await self.select_route(timeout_s=timeout_s)
        except aio.AioRpcError as error:
            code = error.code().name
        return CallOutcome(code, started_s, time.monotonic() - started_s, response)

    async def is_serving(self, service: str = WHOLE_SERVER) -> bool:
        """Ask the health service about the server as a whole, or a part."""
        request = health_pb2.HealthCheckRequest(service=service)
        reply = await health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=5)
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def serving(self, service: str = WHOLE_SERVER, *, wanted: bool) -> float:
        """Wait until health says so, and return the seconds it took."""
        started_s = time.monotonic()
        async with asyncio.timeout(EVENT_TIMEOUT_S):
            while await self.is_serving(service) is not wanted:
                await asyncio.sleep(0.01)
        return time.monotonic() - started_s


@dataclass(frozen=True)
class CallOutcome:
    """What became of one call; times are in seconds, the start on `time.monotonic`."""

    code: str
    started_s: float
    duration_s: float
    response: SelectRouteResponse | None


@dataclass
class ServiceProcess(Caller):
    """A service process and a channel to it."""

    process: asyncio.subprocess.Process
    address: str
    log_file: Path

    @property
    def port(self) -> int:
        """The port of its gRPC."""
        return int(self.address.rpartition(":")[2])

    def records(self, event: str) -> list[dict[str, object]]:
        """Read the log lines of an event."""
        lines = [
            json.loads(line) for line in self.log_file.read_text().split("\n")[:-1] if f'"event": "{event}"' in line
        ]
        return [line for line in lines if line["event"] == event]

    async def logged(self, event: str, count: int = 1) -> list[dict[str, object]]:
        """Wait until an event has been logged so many times, and give its lines."""
        async with asyncio.timeout(EVENT_TIMEOUT_S):
            while len(records := self.records(event)) < count:
                await asyncio.sleep(0.05)
        return records

    def children(self) -> list[int]:
        """List the processes that the service started, as the kernel knows them."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def triton_pid(self) -> int:
        """Find the Triton that the service started: its only child."""
        return self.children()[0]


@asynccontextmanager
async def service_process(
    folder: Path, *flags: str, program: tuple[str, str] = ("-m", "archrouter")
) -> AsyncIterator[ServiceProcess]:
    """Run ``archrouter serve`` until the end, over the flags; ready when given, all that it writes in `folder`."""
    ready_file, log_file = folder / "ready.json", folder / "service.log"
    with (folder / "stdout").open("wb") as output, log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program, "serve", "--server-listen", "127.0.0.1:0"),
            *("--ready-file", str(ready_file), "--logging-format", "json", *flags),
            stdout=output,
            stderr=log,
        )
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not ready_file.exists() and process.returncode is None:
                await asyncio.sleep(0.05)
        assert process.returncode is None, log_file.read_text()
        address = ready_file.read_text().split('"')[3]
        async with aio.insecure_channel(address) as channel:
            yield ServiceProcess(channel, process, address, log_file)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def sample_flags(root: Path, policies: Path | None = None) -> tuple[str, ...]:
    """Serve the sample policies, by default the gateway's."""
    directory = policies or root / "examples" / "policies"
    models = root / "model_repository"
    return (
        *("--policies", str(directory), "--policies-default", "llm-gateway"),
        *("--embedded-model-repository", str(models)),
    )


@asynccontextmanager
async def service_in_process(settings: Settings, folder: Path) -> AsyncIterator[Caller]:
    """Run the service in this process until the end; ready when given.

    Its log is kept from the terminal: tracebacks in colour would cost more than the calls.
    """
    folder.mkdir(exist_ok=True)
    ready_file = folder / "ready"
    ready_file.unlink(missing_ok=True)
    service = _Service(settings, ready_file)
    with capture_logs():
        running = asyncio.create_task(service.run())
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not ready_file.exists() and not running.done():
                    await asyncio.sleep(0.01)
            if running.done():
                await running
            async with aio.insecure_channel(service._address) as channel:
                yield Caller(channel)
        finally:
            service._stop.set()
            await running


@asynccontextmanager
async def paused(pid: int) -> AsyncIterator[None]:
    """Stop a process in the middle of whatever it does, and let it go on at the end."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
