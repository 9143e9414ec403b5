"""Several server processes on one port: ready, reload, one lost and back, drain, and what they cannot start with."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from grpc import aio
from tests.support.rpc_service import eventually
from tests.support.service_runs import REQUEST, ServiceProcess, service_process

from archrouter.v1 import (
    PolicyServiceStub,
    ReloadPolicySetsRequest,
    RoutingServiceStub,
    SelectRouteRequest,
    SelectRouteResponse,
)

START_TIMEOUT_S = 120.0


@dataclass
class Running(ServiceProcess):
    """A service of two processes."""

    policies: Path
    metrics_ports: tuple[int, int]

    async def ask(self, timeout_s: float = 5, request: SelectRouteRequest = REQUEST) -> SelectRouteResponse:
        """Ask over a connection of its own."""
        options = (("grpc.use_local_subchannel_pool", 1),)
        async with aio.insecure_channel(self.address, options=options) as channel:
            response: SelectRouteResponse = await RoutingServiceStub(channel).SelectRoute(request, timeout=timeout_s)
            return response

    def workers(self) -> list[int]:
        """List the process ids of the server processes."""
        return [pid for pid in self.children() if b"archrouter.app.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def free_ports() -> tuple[int, int]:
    """Find two neighbouring ports that are free."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port, port + 1


@asynccontextmanager
async def running(root: Path, folder: Path, *more: str) -> AsyncIterator[Running]:
    """Run a service over a copy of the sample policies, ready, and stop it at the end."""
    policies = folder / "policies"
    shutil.copytree(root / "examples" / "policies", policies)
    ports = free_ports()
    own = ("--policies", str(policies), "--server-processes", "2", "--metrics-listen", f"127.0.0.1:{ports[0]}")
    async with service_process(folder, *own, *more) as one:
        yield Running(**vars(one), policies=policies, metrics_ports=ports)


@pytest_asyncio.fixture
async def service(root: Path, triton_endpoint: str, tmp_path: Path) -> AsyncIterator[Running]:
    """Give a ready service over a Triton of somebody else."""
    async with running(root, tmp_path, "--triton-endpoint", triton_endpoint, "--no-policies-watch-enabled") as one:
        yield one


def decisions_counted(port: int) -> float:
    """Read from one process's metrics how many decisions it has made."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:  # loopback
        lines = page.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("archrouter_decisions_total{"))


async def test_two_processes_share_port_and_work(service: Running) -> None:
    """Connections go to both, each counts its own, and every log line of a process names it."""
    for _ in range(4):  # four at a time find room, whichever process they reach
        await asyncio.gather(*(service.ask() for _ in range(4)))
    counts = [await asyncio.to_thread(decisions_counted, port) for port in service.metrics_ports]

    assert 16 == sum(counts)
    assert all(counts)
    by_process = Counter(line["server_process"] for line in service.records("rpc_completed"))
    assert counts == [by_process[0], by_process[1]]


@pytest.mark.parametrize("by_call", [False, True])
async def test_sighup_and_a_call_reload_every_process(service: Running, *, by_call: bool) -> None:
    """A changed policy file is read by both, also where the call reaches one of them, and nothing watches the files."""
    path = service.policies / "llm-gateway.yaml"
    before = (await service.ask()).decision.policy_set_revision
    path.write_text(path.read_text().replace("description:", "description: Now", 1))

    if by_call:
        answer = await PolicyServiceStub(service.channel).ReloadPolicySets(ReloadPolicySetsRequest(), timeout=30)
        assert any(one.changed for one in answer.policy_sets)
    else:
        service.process.send_signal(signal.SIGHUP)
    await service.logged("policies_loaded", 4 + by_call)
    after = {(await service.ask()).decision.policy_set_revision for _ in range(8)}

    assert 1 == len(after)
    assert before not in after


async def test_a_ticket_of_one_process_is_good_for_the_other(service: Running) -> None:
    """Whichever process a connection reaches, the ticket of the decision before is accepted."""
    ticket = (await service.ask()).decision.route_ticket
    request = SelectRouteRequest()
    request.CopyFrom(REQUEST)
    request.options.route_ticket = ticket

    decisions = [(await service.ask(request=request)).decision for _ in range(8)]

    assert ticket
    assert 2 == len({line["server_process"] for line in service.records("rpc_completed")})
    assert [] == [warning for decision in decisions for warning in decision.warnings if "TICKET" in str(warning)]


async def test_a_killed_process_is_replaced_while_the_other_answers(service: Running) -> None:
    """The loss of one is logged, and the service has two again without a restart."""
    first, second = service.workers()

    os.kill(first, signal.SIGKILL)
    await service.logged("server_process_exited")
    answered = await service.ask()
    await service.logged("listening", 3)

    assert answered.decision.models
    assert second in service.workers()
    assert 2 == len(service.workers())


async def test_sigterm_drains_every_process_and_ends_with_success(root: Path, tmp_path: Path) -> None:
    """The processes share one embedded Triton, calls in flight are answered, and none of the three is left."""
    embedded = ("--embedded", "--embedded-model-repository", str(root / "model_repository"))
    delay = ("--server-drain-delay-s", "2")  # calls that are on their way at the signal are let in
    async with running(root, tmp_path, *embedded, *delay) as service:
        (started,) = service.records("embedded_triton_started")
        left = [*service.workers(), started["pid"]]
        calls = [asyncio.ensure_future(service.ask()) for _ in range(6)]
        await service.logged("rpc_completed")

        service.process.terminate()
        results = await asyncio.gather(*calls)

        assert 0 == await service.process.wait()
    assert all(result.decision.models for result in results)
    assert not any(Path(f"/proc/{pid}").exists() for pid in left)


async def test_processes_end_with_their_parent(service: Running) -> None:
    """Not even SIGKILL of the parent leaves a process behind that holds the port."""
    workers = service.workers()

    service.process.kill()
    await service.process.wait()

    await eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


async def test_a_process_that_cannot_start_ends_the_service(tmp_path: Path) -> None:
    """A broken policy file is told once for each process and then the exit code is 1; nothing is tried for ever."""
    (tmp_path / "a.yaml").write_text("policy_set: a\nroute: []\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "archrouter", "serve", "--policies", str(tmp_path)),
        *("--server-listen", "127.0.0.1:0", "--server-processes", "2"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, log = await asyncio.wait_for(process.communicate(), START_TIMEOUT_S)

    assert 1 == process.returncode
    assert b"a.yaml" in log
