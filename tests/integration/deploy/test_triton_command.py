"""Triton's command of compose.yaml, run by the server that the ``nvidia-pytriton`` wheel ships."""

import asyncio
import os
import re
import socket
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.deployment import REQUIRED_VARIABLES, read_compose
from tests.support.known_metrics import TRITON
from tritonclient.grpc import service_pb2, service_pb2_grpc

from archrouter.inference.installation import TritonInstallation, assemble_backend, environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

START_TIMEOUT_S = 60.0
NOT_OF_A_CPU = re.compile("nv_gpu_|nv_trt_llm_")
"""Metrics that only a GPU and an engine have."""

_LOCAL_ADDRESS, _STATE, _INODE, _LISTEN = 1, 3, 9, "0A"  # columns of /proc/net/tcp, see proc(5)


@dataclass(frozen=True, slots=True)
class RunningTriton:
    """A server with the deployed flags.

    Attributes:
        channel: To its gRPC.
        metrics_url: Its metrics page.
        ports: The two ports it was given, gRPC and metrics.
        pid: Its process id.
    """

    channel: aio.Channel
    metrics_url: str
    ports: set[int]
    pid: int


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _deployed_flags(root: Path) -> list[str]:
    program, *flags = read_compose(root / "deploy" / "compose.yaml", REQUIRED_VARIABLES)["services"]["triton"][
        "command"
    ]
    assert "tritonserver" == program
    return [str(flag) for flag in flags]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def triton(root: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningTriton]:
    """Start it on the compact router and on ports of its own; everything else is as deployed."""
    tmp_path = tmp_path_factory.mktemp("triton")
    installation = TritonInstallation.find()
    assemble_backend(installation, tmp_path / "backends")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "compact_router").symlink_to(root / "model_repository" / "compact_router")
    grpc_port, metrics_port = _free_ports(2)
    own = {
        "--model-repository": str(tmp_path / "models"),
        "--backend-directory": str(tmp_path / "backends"),
        "--backend-config": f"python,shm-region-prefix-name=deploy_test_{grpc_port}_",
        "--grpc-address": "127.0.0.1",
        "--grpc-port": str(grpc_port),
        "--metrics-address": "127.0.0.1",
        "--metrics-port": str(metrics_port),
    }
    flags = [flag for flag in _deployed_flags(root) if flag.partition("=")[0] not in own]
    with (tmp_path / "triton.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            installation.server,
            *flags,
            *(f"{name}={value}" for name, value in own.items()),
            stdout=log,
            stderr=log,
            env=environment(installation, os.environ),
        )
    channel = aio.insecure_channel(f"127.0.0.1:{grpc_port}")
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _is_serving(channel):
                assert process.returncode is None, (tmp_path / "triton.log").read_text()
                await asyncio.sleep(0.1)
        yield RunningTriton(channel, f"http://127.0.0.1:{metrics_port}/metrics", {grpc_port, metrics_port}, process.pid)
    finally:
        await channel.close()
        process.terminate()
        await process.wait()


def _listening_ports(pid: int) -> set[int]:
    """Read from the kernel which TCP ports a process listens on."""
    sockets = {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    listening = [row for row in rows if row[_STATE] == _LISTEN and f"socket:[{row[_INODE]}]" in sockets]
    return {int(row[_LOCAL_ADDRESS].rpartition(":")[2], 16) for row in listening}


def _read(url: str) -> str:
    with urllib.request.urlopen(url) as page:  # noqa: S310  # an address of our own
        return str(page.read().decode())


async def _is_serving(channel: aio.Channel) -> bool:
    try:
        reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
    except aio.AioRpcError:
        return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


async def _index(channel: aio.Channel, metadata: tuple[tuple[str, str], ...] = ()) -> list[str]:
    """List the model repository, which is an administrative call."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    reply = await stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(), timeout=5, metadata=metadata)
    return [model.name for model in reply.models]


async def test_the_deployed_server_serves_what_the_service_needs_and_nothing_else(triton: RunningTriton) -> None:
    """Two ports are open, HTTP is none; administration wants the key, readiness and configuration do not."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(triton.channel)

    ready = await stub.ModelReady(service_pb2.ModelReadyRequest(name="compact_router"), timeout=5)
    config = await stub.ModelConfig(service_pb2.ModelConfigRequest(name="compact_router"), timeout=5)
    with pytest.raises(aio.AioRpcError) as refused:
        await _index(triton.channel)
    key = (("triton-grpc-protocol-admin", REQUIRED_VARIABLES["TRITON_ADMIN_KEY"]),)

    assert triton.ports == _listening_ports(triton.pid)
    assert ready.ready
    assert "compact_router" == config.config.name
    assert StatusCode.UNAVAILABLE == refused.value.code()
    assert ["compact_router"] == await _index(triton.channel, key)


async def test_the_metrics_that_rules_and_panels_read_are_served(triton: RunningTriton) -> None:
    """Each known metric that needs no GPU is on the page, a failure with each known reason."""
    page = await asyncio.to_thread(_read, triton.metrics_url)

    expected = [name for name in TRITON if not NOT_OF_A_CPU.match(name)]
    assert expected
    assert [] == [name for name in expected if f"\n# TYPE {name} " not in page]
    reasons = set(re.findall(r'nv_inference_request_failure\{.*reason="(\w+)"', page))
    assert TRITON["nv_inference_request_failure"]["reason"] == reasons
