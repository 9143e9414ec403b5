"""When the service takes calls; no background task ends it undrained."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from grpc import aio
from structlog.testing import capture_logs
from tests.support.rpc_service import eventually

from archrouter.app import service as service_module
from archrouter.app.service import EXIT_FAILED, EXIT_OK, _Service
from archrouter.config import Settings
from archrouter.rpc.health import Component


async def wait_forever() -> None:
    """Watch something that never changes."""
    await asyncio.Event().wait()


async def fail() -> None:
    """Do what nobody foresaw."""
    msg = "not foreseen"
    raise RuntimeError(msg)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[aio.Server]:
    """Give a server without services."""
    server = aio.server()
    await server.start()
    yield server
    await server.stop(None)


async def test_a_reload_that_fails_is_logged_and_the_service_goes_on(server: aio.Server) -> None:
    """The reload after it is done all the same; SIGTERM still drains."""
    done: list[str] = []

    async def reload_endpoints() -> None:
        done.append("endpoints")

    service = _Service(Settings(), None)
    with capture_logs() as logs:
        serving = asyncio.ensure_future(
            service._until_stopped(server, [fail, reload_endpoints], {"watch": wait_forever()})
        )
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: done)
        was_serving = not serving.done()
        os.kill(os.getpid(), signal.SIGTERM)
        await serving

    assert was_serving
    assert ["reload_failed", "draining", "stopped"] == [log["event"] for log in logs]
    assert logs[0]["exc_info"]
    assert EXIT_OK == service._exit_code


async def test_a_watcher_that_fails_for_good_drains_the_service(server: aio.Server) -> None:
    """Whoever runs it sees exit code 1, and the log has the traceback."""
    service = _Service(Settings(), None)
    with capture_logs() as logs:
        await service._until_stopped(server, [], {"watch the endpoints": fail()})

    assert ["background_task_failed", "draining", "stopped"] == [log["event"] for log in logs]
    assert (True, "watch the endpoints") == (logs[0]["exc_info"], logs[0]["task"])
    assert EXIT_FAILED == service._exit_code


@pytest.mark.parametrize(("wait_s", "comes"), [(60.0, True), (0.0, False)], ids=["comes", "stays_away"])
async def test_no_call_is_taken_before_the_model_answers_or_the_wait_is_over(
    monkeypatch: pytest.MonkeyPatch, wait_s: float, *, comes: bool
) -> None:
    """A client of several replicas would lose what it gives to one that takes calls and cannot answer them."""
    monkeypatch.setattr(service_module, "FIRST_ANSWER_WAIT_S", wait_s)
    service, server = _Service(Settings(), None), aio.server()
    with capture_logs() as logs:
        serving = asyncio.ensure_future(service._until_stopped(server, [], {"watch": wait_forever()}))
        await asyncio.sleep(0.05)
        listened_before = bool(logs)
        if comes:
            service._model_changed(ready=True)
        await eventually(lambda: logs)
        service._stop.set()
        await serving

    assert comes is not listened_before
    assert ["listening", "draining", "stopped"] == [log["event"] for log in logs]


async def test_a_ready_file_that_cannot_be_written_does_not_keep_the_service_from_serving(tmp_path: Path) -> None:
    """It is told once; the model stays ready."""
    service = _Service(Settings(), tmp_path / "no" / "such" / "folder")
    for component in Component:
        service._health.set_ready(component, ready=True)
    service._listens = True

    with capture_logs() as logs:
        service._model_changed(ready=True)

    assert ["service_ready", "ready_file_not_written"] == [log["event"] for log in logs]
