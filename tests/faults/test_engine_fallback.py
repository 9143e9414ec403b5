"""The engine's Triton killed under calls, with the compact tier to fall back to."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest_asyncio
from tests.support.service_runs import SMALL_POLICIES, Caller, CallOutcome, service_in_process

from archrouter.bundles.builder import REFERENCE_MODEL
from archrouter.bundles.loader import PromptBundle
from archrouter.config import PoliciesSettings, RoutingSettings, ServerSettings, Settings, TritonSettings
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.rpc.health import ENDPOINTS_SERVICE
from archrouter.v1 import Tier, WarningCode

START_TIMEOUT_S = 120.0
FLAG = WarningCode.WARNING_CODE_ENGINE_UNAVAILABLE_COMPACT_USED
CALLER_COUNT = 3


@pytest_asyncio.fixture
async def engine(root: Path, bundle: PromptBundle) -> AsyncIterator[EmbeddedTriton]:
    """Start the engine's Triton; the compact tier has another one."""
    parameters = {"model_directory": str(bundle.model_directory), "model_version": bundle.profile.model_version}
    server = EmbeddedTriton(root / "model_repository", (EmbeddedModel(REFERENCE_MODEL, parameters),), START_TIMEOUT_S)
    await server.start()
    yield server
    await server.stop()
    server.close()


@pytest_asyncio.fixture
async def service(
    engine: EmbeddedTriton, triton_endpoint: str, bundle: PromptBundle, tmp_path: Path
) -> AsyncIterator[Caller]:
    """Give a service of the engine tier that falls back to the compact one."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "llm-gateway.yaml").write_text(SMALL_POLICIES)
    settings = Settings(
        server=ServerSettings(listen="127.0.0.1:0"),
        policies=PoliciesSettings(directory=str(tmp_path / "policies")),
        routing=RoutingSettings(mode="engine", on_engine_failure="compact"),
        triton=TritonSettings(
            endpoint=engine.endpoint,
            engine_model=REFERENCE_MODEL,
            bundle_directory=str(bundle.directory),
            compact_endpoint=triton_endpoint,
        ),
    )
    async with service_in_process(settings, tmp_path) as running:
        await running.serving(ENDPOINTS_SERVICE, wanted=True)  # both tiers
        yield running


async def test_a_killed_engine_costs_no_call_and_is_asked_again_once_it_is_back(
    engine: EmbeddedTriton, service: Caller
) -> None:
    """Every decision of the compact tier is flagged and names its model; the service itself never restarts."""
    await until_tier(service, Tier.TIER_ENGINE)
    assert engine.pid is not None
    async with load(service) as outcomes:
        while not outcomes:  # of the engine
            await asyncio.sleep(0.01)
        os.kill(engine.pid, signal.SIGKILL)
        await until_tier(service, Tier.TIER_COMPACT)
        serving_meanwhile = await service.is_serving()
        await engine.wait_exit()
        await engine.start()
        await until_tier(service, Tier.TIER_ENGINE)

    decisions = [outcome.response.decision for outcome in outcomes if outcome.response is not None]
    assert ["OK"] * len(outcomes) == [outcome.code for outcome in outcomes]
    assert {(Tier.TIER_ENGINE, False), (Tier.TIER_COMPACT, True)} == {
        (decision.tier, any(warning.code == FLAG for warning in decision.warnings)) for decision in decisions
    }
    assert 2 == len({decision.model_version for decision in decisions})
    assert serving_meanwhile


async def until_tier(service: Caller, tier: Tier.ValueType) -> None:
    """Call until a tier decides."""
    async with asyncio.timeout(START_TIMEOUT_S):
        while (await service.select_route()).decision.tier != tier:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def load(service: Caller) -> AsyncIterator[list[CallOutcome]]:
    """Call all the time, several at a time."""
    outcomes: list[CallOutcome] = []
    stopping = asyncio.Event()

    async def call() -> None:
        while not stopping.is_set():
            outcomes.append(await service.outcome())
            await asyncio.sleep(0.02)

    callers = [asyncio.ensure_future(call()) for _ in range(CALLER_COUNT)]
    try:
        yield outcomes
    finally:
        stopping.set()
        await asyncio.gather(*callers)
