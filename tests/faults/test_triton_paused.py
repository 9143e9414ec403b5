"""Triton stopped by SIGSTOP: it takes connections and answers nothing, which no connection error tells."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.support.service_runs import REQUEST, Caller, CallOutcome, paused, sample_flags, service_process

from archrouter.client import ClientOptions, RoutingClient
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton

PAUSE_S = 3.0
DEADLINE_S = 10.0
CLIENT_DEADLINE_S = 5.0
AFTER_LOSS_S = 0.5
START_TIMEOUT_S = 120.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def triton(root: Path) -> AsyncIterator[EmbeddedTriton]:
    """Start a Triton that nobody restarts."""
    server = EmbeddedTriton(root / "model_repository", (EmbeddedModel("compact_router"),), START_TIMEOUT_S)
    await server.start()
    yield server
    await server.stop()
    server.close()


async def test_no_call_waits_for_a_paused_triton_once_it_is_known_lost(
    triton: EmbeddedTriton, root: Path, tmp_path: Path
) -> None:
    """Calls that had been put to it end with the verdict, later ones at once, and all is well when it goes on."""
    async with service_process(tmp_path, "--triton-endpoint", triton.endpoint, *sample_flags(root)) as service:
        await service.select_route()
        assert triton.pid is not None
        async with paused(os.getpgid(triton.pid)):
            started_s = time.monotonic()
            caught = [asyncio.ensure_future(service.outcome(timeout_s=DEADLINE_S)) for _ in range(4)]
            await service.serving(wanted=False)
            lost_s = time.monotonic()
            later = await calls_until(service, started_s + PAUSE_S)
        outcomes = [await call for call in caught]
        await service.serving(wanted=True)

        assert {"UNAVAILABLE"} == {outcome.code for outcome in (*outcomes, *later)}
        assert max(outcome.started_s + outcome.duration_s for outcome in outcomes) < lost_s + AFTER_LOSS_S
        assert max(outcome.duration_s for outcome in later) < AFTER_LOSS_S
        assert "OK" == (await service.outcome()).code


async def test_a_client_that_retries_outlasts_the_pause(triton: EmbeddedTriton, root: Path, tmp_path: Path) -> None:
    """With a deadline of 5 s and the published retries, not one of its calls is lost."""
    async with (
        service_process(tmp_path, "--triton-endpoint", triton.endpoint, *sample_flags(root)) as service,
        RoutingClient(ClientOptions(service.address, timeout_s=CLIENT_DEADLINE_S)) as client,
    ):
        await client.select_route(REQUEST)
        assert triton.pid is not None
        async with paused(os.getpgid(triton.pid)):
            calls = []
            for _ in range(10):
                calls.append(asyncio.ensure_future(client.select_route(REQUEST)))
                await asyncio.sleep(PAUSE_S / 10)
        answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [] == [answer for answer in answers if isinstance(answer, BaseException)]


async def calls_until(service: Caller, end_s: float) -> list[CallOutcome]:
    """Call ten times a second."""
    outcomes = []
    while time.monotonic() < end_s:
        outcomes.append(await service.outcome(timeout_s=DEADLINE_S))
        await asyncio.sleep(0.1)
    return outcomes
