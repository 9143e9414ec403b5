"""Triton killed under calls: they fail at once, health says so, and the service brings it back by itself."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc import aio
from grpc_status import rpc_status
from tests.support.service_runs import REQUEST, ServiceProcess, sample_flags, service_process

from archrouter.client import ClientOptions, RoutingClient, RoutingError

LOSS_S = 2.0
"""Four times the promise, for a machine that does something else too."""

AT_ONCE_S = 0.5

RETRIED_S = 3.2
"""What the published retries of a client outlast at least, 0.8 of their 4.1 s, less what a call takes."""


@pytest_asyncio.fixture
async def service(root: Path, tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """Give a ready service with an embedded Triton."""
    async with service_process(tmp_path, "--embedded", *sample_flags(root)) as running:
        yield running


async def test_a_killed_triton_fails_calls_at_once_and_is_back_without_a_restart(service: ServiceProcess) -> None:
    """No call waits for its deadline, each failure carries a RetryInfo, and the same service answers again later."""
    await service.select_route()
    killed_pid = service.triton_pid()

    os.kill(killed_pid, signal.SIGKILL)
    calls = [asyncio.ensure_future(service.outcome(timeout_s=30)) for _ in range(8)]
    lost_s = await service.serving(wanted=False)
    outcomes = [await call for call in calls]
    with pytest.raises(aio.AioRpcError) as caught:
        await service.select_route()
    refusal = await service.outcome()
    await service.serving(wanted=True)

    assert lost_s < LOSS_S
    assert {"UNAVAILABLE"} == {outcome.code for outcome in (*outcomes, refusal)}
    assert max(outcome.duration_s for outcome in outcomes) < LOSS_S
    assert refusal.duration_s < AT_ONCE_S
    assert {ErrorInfo, RetryInfo} == details_of(caught.value)
    assert (await service.select_route()).decision.models
    assert killed_pid != service.triton_pid()


async def test_a_client_that_retries_loses_no_call_that_its_attempts_outlast(service: ServiceProcess) -> None:
    """With a deadline of 5 s and the published retries a call waits for the new Triton; the service queues none."""
    begun: list[tuple[float, asyncio.Task[bool]]] = []
    async with RoutingClient(ClientOptions(service.address, timeout_s=5)) as client:

        async def is_answered() -> bool:
            try:
                return bool((await client.select_route(REQUEST)).decision.models)
            except RoutingError:
                return False

        os.kill(service.triton_pid(), signal.SIGKILL)
        await service.serving(wanted=False)
        healing = asyncio.ensure_future(service.serving(wanted=True))
        while not healing.done():
            begun.append((time.monotonic(), asyncio.ensure_future(is_answered())))
            await asyncio.sleep(0.1)
        healed_s = time.monotonic()
        lost = [started_s for started_s, call in begun if not await call]

    assert [] == [started_s for started_s in lost if started_s > healed_s - RETRIED_S]
    assert begun[-1][0] > healed_s - RETRIED_S


def details_of(error: aio.AioRpcError) -> set[type[ErrorInfo | RetryInfo]]:
    """Unpack the types of a rich status's details."""
    status = rpc_status.from_call(error)
    assert status is not None
    return {kind for kind in (ErrorInfo, RetryInfo) if any(detail.Is(kind.DESCRIPTOR) for detail in status.details)}
