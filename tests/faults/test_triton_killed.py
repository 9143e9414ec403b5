"""Triton killed under calls: they fail at once, health says so, and the service brings it back by itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc import aio
from grpc_status import rpc_status
from tests.support.service_runs import ServiceProcess, sample_flags, service_process

LOSS_S = 2.0
"""Four times the promise, for a machine that does something else too."""

AT_ONCE_S = 0.5


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


def details_of(error: aio.AioRpcError) -> set[type[ErrorInfo | RetryInfo]]:
    """Unpack the types of a rich status's details."""
    status = rpc_status.from_call(error)
    assert status is not None
    return {kind for kind in (ErrorInfo, RetryInfo) if any(detail.Is(kind.DESCRIPTOR) for detail in status.details)}
