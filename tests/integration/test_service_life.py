"""The service as a process: ready, reload, drain; what happens when its model is lost is in tests/faults."""

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.service_runs import REQUEST, SMALL_POLICIES, ServiceProcess, sample_flags, service_process

from archrouter.bundles.loader import PromptBundle
from archrouter.rpc.health import ENDPOINTS_SERVICE
from archrouter.v1 import (
    DecisionView,
    GetServerInfoRequest,
    RoutingMode,
    RoutingServiceStub,
    SelectRouteRequest,
    Tier,
)


@pytest.fixture
def policies(root: Path, tmp_path: Path) -> Path:
    """Copy the sample policies."""
    directory = tmp_path / "policies"
    shutil.copytree(root / "examples" / "policies", directory)
    return directory


@pytest_asyncio.fixture
async def service(root: Path, tmp_path: Path, policies: Path, triton_endpoint: str) -> AsyncIterator[ServiceProcess]:
    """Give a ready service over the copy, with a Triton of somebody else."""
    async with service_process(
        tmp_path, "--triton-endpoint", triton_endpoint, *sample_flags(root, policies)
    ) as running:
        yield running


async def test_health_serves_only_once_the_model_has_answered(service: ServiceProcess) -> None:
    """A ready service answers, and its server info names the model."""
    info = await RoutingServiceStub(service.channel).GetServerInfo(GetServerInfoRequest(), timeout=5)
    response = await service.select_route()

    assert await service.is_serving()
    assert info.model_version == response.decision.model_version
    assert response.decision.models


async def test_a_cascade_decides_with_both_models_of_one_triton(
    root: Path, bundle: PromptBundle, tmp_path: Path
) -> None:
    """The compact tier is asked first; never sure enough here, it leaves the decision to the engine."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "llm-gateway.yaml").write_text(SMALL_POLICIES)
    flags = (
        *("--embedded", "--routing-mode", "cascade", "--routing-cascade-min-confidence", "1"),
        *("--triton-bundle-directory", str(bundle.directory)),
    )
    async with service_process(tmp_path, *flags, *sample_flags(root, tmp_path / "policies")) as service:
        await service.serving(ENDPOINTS_SERVICE, wanted=True)
        stub = RoutingServiceStub(service.channel)
        info = await stub.GetServerInfo(GetServerInfoRequest(), timeout=5)
        request = SelectRouteRequest(view=DecisionView.DECISION_VIEW_FULL)
        request.MergeFrom(REQUEST)
        decision = (await stub.SelectRoute(request, timeout=5)).decision

    assert (RoutingMode.ROUTING_MODE_CASCADE, Tier.TIER_ENGINE) == (info.routing_mode, info.tier)
    assert (Tier.TIER_ENGINE, bundle.profile.model_version) == (decision.tier, decision.model_version)
    assert decision.usage.engine_call_count >= 2


async def test_a_broken_policy_file_keeps_the_last_good_revision(service: ServiceProcess, policies: Path) -> None:
    """After SIGHUP the decision is the same, with a warning, and the log names line and key."""
    before = (await service.select_route()).decision
    path = policies / "llm-gateway.yaml"
    path.write_text(path.read_text().replace("description:", "descripton:", 1))

    service.process.send_signal(signal.SIGHUP)
    await service.logged("policy_file_rejected")
    await service.logged("policies_loaded", 2)
    after = (await service.select_route()).decision

    assert before.policy_set_revision == after.policy_set_revision
    assert "WARNING_CODE_POLICY_SET_STALE" in str(after.warnings)
    assert "descripton" in service.log_file.read_text()


async def test_sigterm_drains_and_ends_with_success(root: Path, tmp_path: Path) -> None:
    """A graceful stop loses no call in flight and leaves no Triton."""
    delay = ("--server-drain-delay-s", "1")  # calls that are on their way at the signal are let in
    async with service_process(tmp_path, "--embedded", *delay, *sample_flags(root)) as service:
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
