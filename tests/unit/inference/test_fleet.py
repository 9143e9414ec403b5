"""The endpoints of a list at run time: brought up, watched, prepared, closed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from tests.support.fakes import make_set
from tests.support.fleet_scene import BROKEN, WRONG, Scene, listed, running_scene
from tests.support.rpc_service import eventually

from archrouter.domain.errors import BackendProtocolError
from archrouter.rpc.health import ENDPOINTS_SERVICE


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    """Give a fleet whose only endpoint, blue, is ready and serves one policy set."""
    async with running_scene() as made:
        yield made


async def test_a_start_reads_the_file_and_brings_its_endpoints_up(scene: Scene) -> None:
    """The service is told once, health agrees with the file, and the profile is the endpoint's."""
    assert [True] == scene.changes
    assert scene.health.is_serving(ENDPOINTS_SERVICE)
    assert "v1" == (scene.fleet.profile and scene.fleet.profile.model_version)
    assert 1 == scene.metric("archrouter_endpoints", state="ready")


def test_a_file_that_cannot_be_used_stops_the_start() -> None:
    """At the start there is no good list to fall back to; line and column are told."""
    scene = Scene(file=BROKEN)

    with pytest.raises(ValueError, match=r"line 2, column 5: endpoints\[0\]\.endpoint: is not HOST:PORT"):
        scene.fleet.start()


async def test_a_lost_endpoint_is_left_out_until_it_is_back(scene: Scene) -> None:
    """The others serve on; the service as a whole does not change, but health shows the gap."""
    scene.file = listed("blue@v1", "second@v1")
    await scene.reload()
    blue = scene.backend("blue@v1")
    blue.ready, blue.failure = False, WRONG
    await eventually(lambda: scene.states()["blue"] == "waiting")
    agreed = scene.health.is_serving(ENDPOINTS_SERVICE)
    decided = await scene.deciding()
    blue.ready, blue.failure = True, None
    await eventually(lambda: scene.states()["blue"] == "ready")

    assert (False, "v1") == (agreed, decided)
    assert [True] == scene.changes


async def test_a_stop_closes_endpoints_that_drain(scene: Scene) -> None:
    """Whoever still had calls when the service ended leaves no connection open."""
    old = scene.backend("blue@v1")
    old.gate.clear()
    call = asyncio.ensure_future(scene.deciding())
    await old.waiting.wait()
    scene.file = listed("green@v2")
    await scene.reload()

    await scene.stop()
    call.cancel()

    assert old.closed


async def test_a_listener_that_fails_does_not_end_what_it_listens_to(scene: Scene) -> None:
    """The fleet goes on; the log has the traceback."""

    def fail(_ready: object) -> None:
        msg = "no space left"
        raise OSError(msg)

    scene.fleet._on_change = fail
    scene.file = listed("green@v2")

    with capture_logs() as logs:
        taken = await scene.reload()

    assert (True, "v2") == (taken, await scene.deciding())
    assert {"fleet_status_lost"} == {log["event"] for log in logs if "exc_info" in log}


async def test_a_new_endpoint_is_prepared_for_what_is_served_when_it_comes(scene: Scene) -> None:
    """Sets that were released or refused before are not among them."""
    blue = scene.backend("blue@v1")
    await scene.fleet.prepare(make_set("second"))
    scene.fleet.release(make_set("second"))
    blue.prepare_failure = WRONG
    with pytest.raises(BackendProtocolError):
        await scene.fleet.prepare(make_set("third"))
    scene.file = listed("blue@v1", "green@v1")

    await scene.reload()

    assert ["support"] == scene.backend("green@v1").prepared
    assert ["second", "third"] == blue.released


async def test_a_served_set_that_is_refused_when_prepared_again_stays(scene: Scene) -> None:
    """Its last good revision goes on serving, so nothing of it is released."""
    blue = scene.backend("blue@v1")
    blue.prepare_failure = WRONG

    with pytest.raises(BackendProtocolError):
        await scene.fleet.prepare(make_set("support"))

    assert [] == blue.released
