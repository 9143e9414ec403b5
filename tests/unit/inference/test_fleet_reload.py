"""A new list of endpoints: taken over without losing a call, kept out where its endpoints fail."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest_asyncio
from structlog.testing import capture_logs
from tests.support.fake_backend import FAKE_PROFILE
from tests.support.fleet_scene import BROKEN, WRONG, Backend, Scene, listed, running_scene
from tests.support.rpc_service import eventually

from archrouter.domain.errors import BackendUnavailableError
from archrouter.rpc.health import ENDPOINTS_SERVICE


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    """Give a fleet whose only endpoint, blue, is ready and serves one policy set."""
    async with running_scene() as made:
        yield made


async def test_new_endpoints_take_over_and_the_old_ones_finish(scene: Scene) -> None:
    """A call in flight ends on its endpoint while new calls go to the new one; then the old connection is closed."""
    old = scene.backend("blue@v1")
    old.gate.clear()
    in_flight = asyncio.ensure_future(scene.deciding())
    await old.waiting.wait()
    scene.file = listed("green@v2")

    taken = await scene.reload()
    draining = scene.metric("archrouter_endpoints", state="draining")
    decided_meanwhile = await scene.deciding()
    old.gate.set()
    await eventually(lambda: old.closed)

    assert taken
    assert ("v2", "v1") == (decided_meanwhile, await in_flight)
    assert (1, 0) == (draining, scene.metric("archrouter_endpoints", state="draining"))
    assert ["support"] == scene.backend("green@v2").prepared
    assert 1 == scene.metric("archrouter_endpoint_reloads_total", result="success")
    assert scene.health.is_serving(ENDPOINTS_SERVICE)
    assert [True] == scene.changes


async def test_a_wrong_endpoint_leaves_the_old_one_serving(scene: Scene) -> None:
    """Log, metric and health say so, and a later good list mends it."""
    scene.file, scene.backend("green@v2").failure = listed("green@v2"), WRONG

    with capture_logs() as logs:
        taken = await scene.reload()

    assert (False, "v1") == (taken, await scene.deciding())
    assert scene.backend("green@v2").closed
    assert 1 == scene.metric("archrouter_endpoint_reloads_total", result="failure")
    assert not scene.health.is_serving(ENDPOINTS_SERVICE)
    assert str(WRONG) in {log.get("reason") for log in logs if log["event"] == "endpoint_refused"}
    assert ["blue:8001/tensorrt_llm"] == next(log for log in logs if log["event"] == "endpoints_rejected")[
        "still_serving"
    ]
    scene.backends["green@v2"] = Backend(replace(FAKE_PROFILE, model_version="v2"))
    assert await scene.reload()
    assert scene.health.is_serving(ENDPOINTS_SERVICE)


async def test_a_broken_file_leaves_the_old_endpoints_serving(scene: Scene) -> None:
    """It is told with its place; nothing is closed."""
    scene.file = BROKEN

    with capture_logs() as logs:
        taken = await scene.reload()

    assert (False, "v1") == (taken, await scene.deciding())
    assert [(2, 5)] == [(log["line"], log["column"]) for log in logs if log["event"] == "endpoints_file_rejected"]
    assert not scene.backend("blue@v1").closed


async def test_an_endpoint_in_both_lists_stays_as_it_is(scene: Scene) -> None:
    """Scaling out neither warms up again nor closes what serves."""
    before = scene.fleet.endpoints[0]
    scene.file = listed("blue@v1", "second@v1")

    assert await scene.reload()
    assert before is scene.fleet.endpoints[0]
    assert {"blue": "ready", "second": "ready"} == scene.states()


async def test_the_same_place_with_another_bundle_is_another_endpoint(scene: Scene) -> None:
    """What a bundle says counts, not where it lies."""
    scene.file = listed("blue@v2")

    assert await scene.reload()
    assert "v2" == await scene.deciding()
    await eventually(lambda: scene.backend("blue@v1").closed)


async def test_one_good_new_endpoint_is_enough_and_the_others_may_follow(scene: Scene) -> None:
    """Health tells that one is missing until it comes up by itself."""
    late = scene.backend("late@v2")
    late.failure = BackendUnavailableError("loading", retry_after_s=1.0)
    scene.file = listed("green@v2", "late@v2")

    taken = await scene.reload()
    states = scene.states()
    agreed = scene.health.is_serving(ENDPOINTS_SERVICE)
    late.failure = None
    await eventually(lambda: scene.health.is_serving(ENDPOINTS_SERVICE))

    assert (True, False) == (taken, agreed)
    assert {"green": "ready", "late": "waiting"} == states
    assert ["support"] == late.prepared


async def test_no_endpoint_leaves_for_a_new_one_that_fails(scene: Scene) -> None:
    """Although one of the list serves already: capacity is not given away for nothing."""
    scene.file = listed("blue@v1", "second@v1")
    await scene.reload()
    scene.file, scene.backend("green@v2").failure = listed("blue@v1", "green@v2"), WRONG

    assert not await scene.reload()
    assert {"blue": "ready", "second": "ready"} == scene.states()


async def test_endpoints_may_be_taken_out_but_not_the_last_ready_one(scene: Scene) -> None:
    """A shorter list is taken over when something of it is ready."""
    scene.file = listed("blue@v1", "second@v1")
    await scene.reload()
    scene.backend("second@v1").ready = False
    scene.backend("second@v1").failure = WRONG
    await eventually(lambda: scene.states()["second"] == "waiting")
    scene.file = listed("second@v1")
    kept = await scene.reload()
    scene.file = listed("blue@v1")

    assert (False, True) == (kept, await scene.reload())
    assert {"blue": "ready"} == scene.states()


async def test_where_nothing_serves_any_list_is_better(scene: Scene) -> None:
    """A lost endpoint is replaced by one that still loads, as at the start; calls come back with it."""
    blue, green = scene.backend("blue@v1"), scene.backend("green@v1")
    blue.failure = green.failure = BackendUnavailableError("gone", retry_after_s=1.0)
    blue.ready = False
    await eventually(lambda: not scene.fleet.ready)
    scene.file = listed("green@v1")

    taken = await scene.reload()
    green.failure = None
    await eventually(lambda: scene.fleet.ready)

    assert taken
    assert [True, False, True] == scene.changes


async def test_reloads_run_one_after_the_other(scene: Scene) -> None:
    """Two signals at once end with the list of the file."""
    scene.file = listed("green@v2")

    assert (True, True) == tuple(await asyncio.gather(scene.reload(), scene.reload()))
    assert {"green": "ready"} == scene.states()
