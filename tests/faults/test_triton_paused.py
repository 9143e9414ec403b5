"""Triton stopped by SIGSTOP: it takes connections and answers nothing, which no connection error tells.

Only the server is stopped where it goes on later: one that is frozen together with its Python process may take that for
dead afterwards, and end or get stuck as it replaces it. The embedded one is then replaced, as the last test has it.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from tests.support.service_runs import REQUEST, Caller, CallOutcome, paused, sample_flags, service_process

from archrouter.client import ClientOptions, RoutingClient
from archrouter.inference import triton_supervisor
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.endpoint import EndpointSpec
from archrouter.inference.endpoint_check import check_endpoints

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
        async with paused(triton.pid):
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
        async with paused(triton.pid):
            calls = []
            for _ in range(10):
                calls.append(asyncio.ensure_future(client.select_route(REQUEST)))
                await asyncio.sleep(PAUSE_S / 10)
        answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [] == [answer for answer in answers if isinstance(answer, BaseException)]


async def test_an_embedded_triton_that_is_stuck_is_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs and is reached, so nothing but real calls that stay without an answer tells."""
    monkeypatch.setattr(triton_supervisor, "LOOK_INTERVAL_S", 0.2)
    monkeypatch.setattr(triton_supervisor, "LOOK_TIMEOUT_S", 2.0)
    server = EmbeddedTriton(root / "model_repository", (EmbeddedModel("compact_router"),), START_TIMEOUT_S)
    await server.start()
    endpoint = EndpointSpec(server.endpoint, "compact_router")
    running = asyncio.create_task(triton_supervisor.keep_running(server, (endpoint,), restart_delay_s=0.1))
    stuck_pid = server.pid
    assert stuck_pid is not None
    with capture_logs() as logs:
        os.killpg(stuck_pid, signal.SIGSTOP)
        async with asyncio.timeout(START_TIMEOUT_S):
            while "embedded_triton_restarted" not in [log["event"] for log in logs]:
                await asyncio.sleep(0.05)
    (verdict,) = await check_endpoints((endpoint,), timeout_s=10)
    running.cancel()
    await server.stop()
    server.close()

    assert "" == verdict.reason
    assert ["embedded_triton_stuck", "embedded_triton_exited", "embedded_triton_restarted"] == [
        log["event"] for log in logs
    ]
    assert stuck_pid != logs[-1]["pid"]


async def calls_until(service: Caller, end_s: float) -> list[CallOutcome]:
    """Call ten times a second."""
    outcomes = []
    while time.monotonic() < end_s:
        outcomes.append(await service.outcome(timeout_s=DEADLINE_S))
        await asyncio.sleep(0.1)
    return outcomes
