"""Two replicas that are restarted in turn, as real processes, under the load of clients that know both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.support.service_runs import REQUEST, ServiceProcess, sample_flags, service_process

from archrouter.client import ClientOptions, RetryOptions, RoutingClient, RoutingError

ROUNDS = 2
RECONNECT_S = 2.0
"""What docs/clients.md asks of a deployment between the readiness of a replica and the end of the next one."""

TIMEOUT_S = 5.0
"""Longer than the clients' default, so that a busy machine is not what the test sees; the retries are the default's."""

GO_CALLS_PER_S = 20
PYTHON_CALLS_PER_S = 5


class Replica:
    """A service process that keeps its address when it is started anew."""

    def __init__(self, folder: Path, *flags: str) -> None:
        """Start nothing yet."""
        self._folder = folder
        self._flags = flags
        self._stack = AsyncExitStack()
        self._running: ServiceProcess | None = None
        folder.mkdir()

    @property
    def address(self) -> str:
        """Its HOST:PORT."""
        assert self._running is not None
        return self._running.address

    async def start(self) -> None:
        """Start it, ready on return."""
        listen = ("--server-listen", self.address) if self._running else ()
        (self._folder / "ready.json").unlink(missing_ok=True)
        self._running = await self._stack.enter_async_context(service_process(self._folder, *self._flags, *listen))

    async def stop(self) -> int | None:
        """Stop it with SIGTERM, and give its exit code."""
        await self._stack.aclose()
        return self._running.process.returncode if self._running else None


@asynccontextmanager
async def replicas(folder: Path, *flags: str) -> AsyncIterator[tuple[Replica, Replica]]:
    """Run two replicas, ready."""
    both = Replica(folder / "a", *flags), Replica(folder / "b", *flags)
    try:
        for one in both:
            await one.start()
        yield both
    finally:
        for one in both:
            await one.stop()


@pytest.fixture
async def go_program(root: Path, tmp_path: Path) -> Path:
    """Build the Go client's load."""
    program = tmp_path / "rolling"
    build = await asyncio.create_subprocess_exec(
        "go", "build", "-o", str(program), "./internal/rolling", cwd=root / "clients" / "go"
    )
    assert 0 == await build.wait()
    return program


async def go_load(program: Path, addresses: str, stopped: asyncio.Event) -> list[str]:
    """Call with the Go client until stopped, and give the lines that it prints: each failure, and the counts."""
    process = await asyncio.create_subprocess_exec(
        *(str(program), "-servers", addresses, "-rate", str(GO_CALLS_PER_S), "-timeout", f"{TIMEOUT_S}s"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None  # it is a pipe
    await stopped.wait()
    process.stdin.close()
    output, _ = await process.communicate()
    return output.decode().splitlines()


async def python_load(addresses: str, stopped: asyncio.Event) -> list[str]:
    """Call with the Python client until stopped, and give each failure, and the counts."""
    retry = RetryOptions(max_attempts=RetryOptions().attempts_within(0.3))
    failures: list[str] = []
    calls: list[asyncio.Task[None]] = []

    async def ask(client: RoutingClient) -> None:
        try:
            await client.select_route(REQUEST)
        except RoutingError as error:
            failures.append(str(error))

    async with RoutingClient(ClientOptions(f"ipv4:{addresses}", timeout_s=TIMEOUT_S, retry=retry)) as client:
        while not stopped.is_set():
            calls.append(asyncio.create_task(ask(client)))
            await asyncio.sleep(1 / PYTHON_CALLS_PER_S)
        await asyncio.gather(*calls)
    return [*failures, f"calls {len(calls)} failed {len(failures)}"]


async def test_replicas_that_are_restarted_in_turn_cost_no_call(
    root: Path, triton_endpoint: str, tmp_path: Path, go_program: Path
) -> None:
    """Neither the Go client nor the Python one loses a call, and every replica ends with success."""
    stopped, exit_codes = asyncio.Event(), []
    flags = ("--triton-endpoint", triton_endpoint, "--server-latency-tolerance", "0", *sample_flags(root))

    async with replicas(tmp_path, *flags) as both, asyncio.TaskGroup() as group:
        addresses = ",".join(replica.address for replica in both)
        loads = [
            group.create_task(go_load(go_program, addresses, stopped)),
            group.create_task(python_load(addresses, stopped)),
        ]
        await asyncio.sleep(1)
        for _ in range(ROUNDS):
            for replica in both:
                exit_codes.append(await replica.stop())
                await replica.start()
                await asyncio.sleep(RECONNECT_S)
        stopped.set()
    go, python = (load.result() for load in loads)

    assert [0] * 2 * ROUNDS == exit_codes
    assert (1, " failed 0") == (len(go), go[-1][-9:]), go
    assert (1, " failed 0") == (len(python), python[-1][-9:]), python
