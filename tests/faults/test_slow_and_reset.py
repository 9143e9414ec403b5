"""Faults that lie between a Triton that is well and one that is gone: slow, cut off, broken answers, absent callers."""

import asyncio
from collections.abc import AsyncIterator
from math import nan
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from tests.support.engine_bundles import VOCAB_SIZE, write_engine_bundle
from tests.support.engine_triton import EngineTriton, engine_triton
from tests.support.faulty_network import FaultyNetwork, faulty_network
from tests.support.rpc_service import eventually
from tests.support.service_runs import SMALL_POLICIES, Caller, service_in_process

from archrouter.bundles.loader import load_bundle
from archrouter.config import PoliciesSettings, RoutingSettings, ServerSettings, Settings, TritonSettings

DEADLINE_S = 10.0
WATCH_S = 0.1
LOSS_S = 2.0
"""Ten looks, for a machine that does something else too."""


def settings_over(folder: Path, routing: RoutingSettings, **triton: object) -> Settings:
    """Watch Triton closely, and fail after three calls."""
    (folder / "policies").mkdir()
    (folder / "policies" / "llm-gateway.yaml").write_text(SMALL_POLICIES)
    watched = {"health_interval_s": WATCH_S, "probe_timeout_s": WATCH_S, "max_failures": 3, **triton}
    return Settings(
        server=ServerSettings(listen="127.0.0.1:0"),
        policies=PoliciesSettings(directory=str(folder / "policies")),
        routing=routing,
        triton=TritonSettings.model_validate(watched),
    )


@pytest_asyncio.fixture
async def network(triton_endpoint: str) -> AsyncIterator[FaultyNetwork]:
    """Put a network before a real Triton."""
    async with faulty_network(triton_endpoint) as relay:
        yield relay


@pytest_asyncio.fixture
async def service(network: FaultyNetwork, tmp_path: Path) -> AsyncIterator[Caller]:
    """Give a service of the compact tier behind the network."""
    settings = settings_over(tmp_path, RoutingSettings(), endpoint=network.address)
    async with service_in_process(settings, tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def engine(checkpoint: Path, tmp_path: Path) -> AsyncIterator[EngineTriton]:
    """Serve an engine that does as told."""
    version = load_bundle(write_engine_bundle(tmp_path / "bundle", checkpoint)).profile.model_version
    async with engine_triton(version, vocab_size=VOCAB_SIZE) as served:
        yield served


@pytest_asyncio.fixture
async def engine_service(engine: EngineTriton, tmp_path: Path) -> AsyncIterator[Caller]:
    """Give a service of that engine, for one call at a time."""
    settings = settings_over(
        tmp_path,
        RoutingSettings(mode="engine"),
        endpoint=engine.endpoint,
        bundle_directory=str(tmp_path / "bundle"),
        max_concurrent_requests=1,
    )
    async with service_in_process(settings, tmp_path) as running:
        yield running


async def test_a_half_open_connection_is_given_up_for_a_new_one(network: FaultyNetwork, service: Caller) -> None:
    """No packet tells that the connection is dead; calls on it end, later ones fail at once, and it heals by itself."""
    await service.select_route()
    network.lose_packets()

    caught = await service.outcome(timeout_s=DEADLINE_S)
    refused = await service.outcome(timeout_s=DEADLINE_S)
    network.mend()
    healed_s = await service.serving(wanted=True)

    assert ("UNAVAILABLE", "UNAVAILABLE") == (caught.code, refused.code)
    assert caught.duration_s < LOSS_S
    assert refused.duration_s < caught.duration_s
    assert healed_s < DEADLINE_S
    assert "OK" == (await service.outcome()).code


async def test_a_reset_costs_the_calls_on_the_connection_at_most(network: FaultyNetwork, service: Caller) -> None:
    """Those fail at once, with a code that a client tries again."""
    await service.select_route()
    network.delay_s = 0.2
    calls = [asyncio.ensure_future(service.outcome(timeout_s=DEADLINE_S)) for _ in range(4)]
    await asyncio.sleep(0.1)

    network.reset()
    network.delay_s = 0.0
    outcomes = [await call for call in calls]
    await service.serving(wanted=True)

    assert {outcome.code for outcome in outcomes} <= {"OK", "UNAVAILABLE"}
    assert max(outcome.duration_s for outcome in outcomes) < LOSS_S
    assert "OK" == (await service.outcome()).code


async def test_a_slow_call_is_charged_to_its_caller_alone(engine: EngineTriton, engine_service: Caller) -> None:
    """However many callers leave it too little time, a model that answers Triton's looks is not lost."""
    engine.gate.clear()

    codes = [(await engine_service.outcome(timeout_s=0.1)).code for _ in range(6)]
    serving_meanwhile = await engine_service.is_serving()
    engine.gate.set()

    assert ["DEADLINE_EXCEEDED"] * 6 == codes
    assert serving_meanwhile
    assert "OK" == (await engine_service.outcome()).code


async def test_nothing_works_on_for_a_caller_that_has_gone(engine: EngineTriton, engine_service: Caller) -> None:
    """The cancellation reaches Triton, and the place is free for the next call, which is the only one there is."""
    engine.gate.clear()
    before = engine.call_count
    call = asyncio.ensure_future(engine_service.select_route(timeout_s=DEADLINE_S))
    await eventually(lambda: engine.call_count > before)

    call.cancel()
    await eventually(lambda: engine.cancelled_count == engine.call_count - before)
    engine.gate.set()

    assert "OK" == (await engine_service.outcome(timeout_s=1.0)).code


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"refusal": (grpc.StatusCode.INTERNAL, "CUDA error: an illegal memory access")}, "UNAVAILABLE"),
        ({"logit": nan}, "INTERNAL"),
        ({"vocab_size": 7}, "INTERNAL"),
    ],
    ids=["internal", "nan", "shape"],
)
async def test_a_model_that_fails_each_call_gets_none_until_it_is_well(
    fault: dict[str, object], code: str, engine: EngineTriton, engine_service: Caller
) -> None:
    """Its server says that it is ready; after three calls nobody believes it, and one call at a time tries it."""
    well = {name: getattr(engine, name) for name in fault}
    for name, value in fault.items():
        setattr(engine, name, value)

    codes = [(await engine_service.outcome()).code for _ in range(3)]
    await engine_service.serving(wanted=False)
    refused = await engine_service.outcome()
    for name, value in well.items():
        setattr(engine, name, value)
    healed_s = await engine_service.serving(wanted=True)

    assert [code] * 3 == codes
    assert "UNAVAILABLE" == refused.code
    assert healed_s < DEADLINE_S
    assert "OK" == (await engine_service.outcome()).code
