"""The service as a process: ready, model lost and back, reload, drain."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from archrouter.v1 import (
    GetServerInfoRequest,
    Message,
    Role,
    RoutingServiceStub,
    SelectRouteRequest,
    SelectRouteResponse,
)

READY_TIMEOUT_S = 120.0
LOSS_TIMEOUT_S = 2.0
HEAL_TIMEOUT_S = 60.0
REQUEST = SelectRouteRequest(
    messages=[Message(role=Role.ROLE_USER, content="Fix the KeyError in this Python function")],
    policy_set="policySets/llm-gateway",
)


@dataclass
class Running:
    """A service process and a channel to it."""

    process: asyncio.subprocess.Process
    channel: aio.Channel
    policies: Path
    log_file: Path

    async def select_route(self) -> SelectRouteResponse:
        """Ask for a decision, without retries."""
        response: SelectRouteResponse = await RoutingServiceStub(self.channel).SelectRoute(REQUEST, timeout=5)
        return response

    async def is_serving(self) -> bool:
        """Ask the health service about the server as a whole."""
        reply = await health_pb2_grpc.HealthStub(self.channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def logged(self, event: str, count: int = 1) -> None:
        """Wait until an event has been logged so many times."""
        async with asyncio.timeout(HEAL_TIMEOUT_S):
            while self.log_file.read_text().count(f'"event": "{event}"') < count:
                await asyncio.sleep(0.05)

    def triton_pid(self) -> int:
        """Find the Triton that the service started: its only child."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])


@pytest_asyncio.fixture
async def service(root: Path, tmp_path: Path) -> AsyncIterator[Running]:
    """Give a ready service over a copy of the sample policies."""
    policies = tmp_path / "policies"
    shutil.copytree(root / "examples" / "policies", policies)
    ready_file, log_file = tmp_path / "ready.json", tmp_path / "service.log"
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "archrouter", "serve", "--embedded", "--policies", str(policies)),
            *("--server-listen", "127.0.0.1:0", "--ready-file", str(ready_file), "--logging-format", "json"),
            *("--policies-default", "llm-gateway", "--embedded-model-repository", str(root / "model_repository")),
            stderr=log,
        )
    async with asyncio.timeout(READY_TIMEOUT_S):
        while not ready_file.exists() and process.returncode is None:
            await asyncio.sleep(0.05)
    assert process.returncode is None, log_file.read_text()
    address = ready_file.read_text().split('"')[3]
    async with aio.insecure_channel(address) as channel:
        yield Running(process, channel, policies, log_file)
    if process.returncode is None:
        process.terminate()
        await process.wait()


async def test_health_serves_only_once_the_model_has_answered(service: Running) -> None:
    """A ready service answers, and its server info names the model."""
    info = await RoutingServiceStub(service.channel).GetServerInfo(GetServerInfoRequest(), timeout=5)
    response = await service.select_route()

    assert await service.is_serving()
    assert info.model_version == response.decision.model_version
    assert response.decision.models


async def test_a_killed_triton_is_unavailable_within_two_seconds_and_heals_without_a_restart(service: Running) -> None:
    """Health says NOT_SERVING, calls fail with RetryInfo, and the same service answers again later."""
    await service.select_route()

    os.kill(service.triton_pid(), signal.SIGKILL)
    async with asyncio.timeout(LOSS_TIMEOUT_S):
        while await service.is_serving():
            await asyncio.sleep(0.02)
        with pytest.raises(aio.AioRpcError) as caught:
            await service.select_route()

    assert grpc.StatusCode.UNAVAILABLE is caught.value.code()
    assert {ErrorInfo, RetryInfo} == details_of(caught.value)
    async with asyncio.timeout(HEAL_TIMEOUT_S):
        while not await service.is_serving():
            await asyncio.sleep(0.05)
    assert (await service.select_route()).decision.models


async def test_a_broken_policy_file_keeps_the_last_good_revision(service: Running) -> None:
    """After SIGHUP the decision is the same, with a warning, and the log names line and key."""
    before = (await service.select_route()).decision
    path = service.policies / "llm-gateway.yaml"
    path.write_text(path.read_text().replace("description:", "descripton:", 1))

    service.process.send_signal(signal.SIGHUP)
    await service.logged("policy_file_rejected")
    await service.logged("policies_loaded", 2)
    after = (await service.select_route()).decision

    assert before.policy_set_revision == after.policy_set_revision
    assert "WARNING_CODE_POLICY_SET_STALE" in str(after.warnings)
    assert "descripton" in service.log_file.read_text()


async def test_sigterm_drains_and_ends_with_success(service: Running) -> None:
    """A graceful stop loses no call in flight and leaves no Triton."""
    triton_pid = service.triton_pid()
    calls = [asyncio.ensure_future(service.select_route()) for _ in range(8)]
    await asyncio.sleep(0.05)

    service.process.terminate()
    responses = await asyncio.gather(*calls)

    assert 0 == await service.process.wait()
    assert all(response.decision.models for response in responses)
    assert not Path(f"/proc/{triton_pid}").exists()


async def test_a_service_with_a_broken_policy_file_does_not_start(root: Path, tmp_path: Path) -> None:
    """At start there is no good revision to fall back to, so the findings end it."""
    (tmp_path / "a.yaml").write_text("policy_set: a\nroute: []\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "archrouter", "serve", "--embedded", "--policies", str(tmp_path)),
        *("--server-listen", "127.0.0.1:0", "--embedded-model-repository", str(root / "model_repository")),
        stderr=asyncio.subprocess.PIPE,
    )
    _, log = await process.communicate()

    assert process.returncode != 0
    assert b"a.yaml" in log
    assert b"route" in log


def details_of(error: aio.AioRpcError) -> set[type[ErrorInfo | RetryInfo]]:
    """Unpack the types of a rich status's details."""
    status = rpc_status.from_call(error)
    assert status is not None
    return {kind for kind in (ErrorInfo, RetryInfo) if any(detail.Is(kind.DESCRIPTOR) for detail in status.details)}
