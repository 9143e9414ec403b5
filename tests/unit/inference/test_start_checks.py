"""What keeps a wrong engine from serving: the start for what the bundle says, health for what Triton says."""

import asyncio
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.support.engine_bundles import VOCAB_SIZE, change_engine, write_engine_bundle
from tests.support.engine_triton import engine_triton
from tests.support.fleet_scene import WATCH

from archrouter.app.wiring import build_core, build_shadow, endpoint_readers, load_engine_bundle
from archrouter.bundles.loader import load_bundle
from archrouter.bundles.manifest import BundleError
from archrouter.config import EmbeddedSettings, RoutingSettings, Settings, ShadowSettings, TritonSettings
from archrouter.domain.errors import BackendProtocolError, ModelNotReadyError
from archrouter.domain.scoring import Tier
from archrouter.domain.ticket import Tickets
from archrouter.inference.endpoint import Endpoint, EndpointSpec, EndpointState
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.per_policy_set import WARM_UP
from archrouter.inference.triton_client import TritonClient
from archrouter.observability.metrics import Metrics

TIMEOUT_S = 5.0
ENGINE = RoutingSettings(mode="engine")
FILE = TritonSettings(endpoints_file="endpoints.yaml")


async def test_a_service_does_not_start_with_a_wrong_engine(root: Path, checkpoint: Path, tmp_path: Path) -> None:
    """Exit code 1, and the log names the flag to build with."""
    directory = write_engine_bundle(tmp_path / "bundle", checkpoint)
    change_engine(directory, "build_config", "gather_generation_logits", value=False)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "archrouter", "serve", "--policies", str(root / "examples" / "toy" / "policies")),
        *("--routing-mode", "engine", "--triton-bundle-directory", str(directory), "--server-listen", "127.0.0.1:0"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, log = await process.communicate()

    assert 1 == process.returncode
    assert b"start_failed" in log
    assert b"--gather_generation_logits" in log


async def test_health_waits_for_the_right_engine_and_the_log_says_why(checkpoint: Path, tmp_path: Path) -> None:
    """While Triton serves another bundle the model never counts as ready, and the reason is logged once."""
    bundle = load_bundle(write_engine_bundle(tmp_path / "bundle", checkpoint))
    changes: list[EndpointState] = []
    async with engine_triton("sha256:" + "f" * 64, vocab_size=VOCAB_SIZE) as triton:
        connection = TritonClient(triton.endpoint, max_concurrent_requests=1)
        backend = LanguageModelBackend(connection, "tensorrt_llm", bundle)
        watch_often = WATCH.model_copy(update={"health_interval_s": 0.01})
        endpoint = Endpoint(EndpointSpec(triton.endpoint, "tensorrt_llm", bundle), backend, tuple, watch_often)
        watch = endpoint.watch(lambda: changes.append(endpoint.state))
        with capture_logs() as logs:
            watching = asyncio.ensure_future(watch)
            await asyncio.sleep(0.2)
            before = list(changes)
            triton.config.parameters["model_version"].string_value = bundle.profile.model_version
            async with asyncio.timeout(5):
                while not changes:
                    await asyncio.sleep(0.01)
            watching.cancel()
        await backend.close()

    reasons = [log["reason"] for log in logs if log["event"] == "model_not_ready"]
    assert [] == before
    assert 1 == len(reasons)
    assert "deploy the TensorRT engine and the bundle that were built together" in reasons[0]
    assert [EndpointState.READY] == changes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(triton=FILE), "routing.mode is compact"),
        (
            Settings(routing=ENGINE, triton=FILE, embedded=EmbeddedSettings(enabled=True)),
            "embedded.enabled is true",
        ),
        (
            Settings(routing=ENGINE, triton=TritonSettings(endpoints_file="endpoints.yaml", bundle_directory="b")),
            "triton.bundle_directory is set",
        ),
    ],
)
def test_an_endpoints_file_beside_a_setting_that_contradicts_it_is_refused(settings: Settings, message: str) -> None:
    """Neither of the two is silently ignored."""
    with pytest.raises(ValueError, match=f"triton.endpoints_file is set, but {message}; change one of the two"):
        endpoint_readers(settings, None, None)


def test_an_engine_that_only_decides_again_has_its_endpoints_too() -> None:
    """Its bundle is asked for, its endpoints file is none that nobody reads, and the compact tier still decides."""
    shadow = ShadowSettings(tier="engine")

    assert [Tier.ENGINE, Tier.COMPACT] == list(endpoint_readers(Settings(shadow=shadow, triton=FILE), None, None))
    with pytest.raises(BundleError, match=r"shadow\.tier is engine, but there is no bundle"):
        load_engine_bundle(Settings(shadow=shadow))


def test_a_shadow_that_could_only_agree_is_refused() -> None:
    """The same tier by the same policies says nothing."""
    settings, metrics = Settings(shadow=ShadowSettings(tier="compact")), Metrics(CollectorRegistry(), version="1")
    readers = endpoint_readers(settings, None, None)
    core = build_core(settings, readers, lambda _tier, _status: None, metrics, Tickets(), None)

    with pytest.raises(ValueError, match=r"shadow\.tier is compact, which decides alone already; name another"):
        build_shadow(settings, readers, core, metrics, None)


def test_one_endpoint_needs_no_endpoints_file() -> None:
    """Without the file the settings are the list; with it there is no single bundle."""
    listed = endpoint_readers(Settings(), None, None)[Tier.COMPACT]()

    assert ["127.0.0.1:8001/compact_router"] == [endpoint.name for endpoint in listed.endpoints]
    assert load_engine_bundle(Settings(routing=ENGINE, triton=FILE)) is None
    with pytest.raises(BundleError, match=r"set triton\.bundle_directory or triton\.endpoints_file"):
        load_engine_bundle(Settings(routing=ENGINE))


async def test_an_engine_that_became_another_one_serves_no_more(checkpoint: Path, tmp_path: Path) -> None:
    """Another model behind the same name is noticed, and calls are refused until the right one is back."""
    bundle = load_bundle(write_engine_bundle(tmp_path / "bundle", checkpoint))
    version = bundle.profile.model_version
    async with engine_triton(version, vocab_size=VOCAB_SIZE) as triton:
        backend = LanguageModelBackend(TritonClient(triton.endpoint, max_concurrent_requests=1), "m", bundle)
        served = triton.config.parameters["model_version"]
        await backend.warm_up(timeout_s=TIMEOUT_S)
        before = await backend.is_ready(timeout_s=TIMEOUT_S)

        served.string_value = "sha256:" + "f" * 64
        after = await backend.is_ready(timeout_s=TIMEOUT_S)
        with pytest.raises(BackendProtocolError):
            await backend.warm_up(timeout_s=TIMEOUT_S)
        with pytest.raises(ModelNotReadyError):
            await backend.score(WARM_UP, timeout_s=TIMEOUT_S)

        served.string_value = version
        await backend.warm_up(timeout_s=TIMEOUT_S)
        answer = await backend.score(WARM_UP, timeout_s=TIMEOUT_S)
        await backend.close()

    assert (True, False, version) == (before, after, answer.profile.model_version)
