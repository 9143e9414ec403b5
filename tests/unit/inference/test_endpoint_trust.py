"""When an endpoint is in doubt, when it is lost, and what that costs the calls meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.fleet_scene import QUESTION, WATCH, WRONG, Backend, Scene, running_scene
from tests.support.rpc_service import eventually

from archrouter.domain.errors import ArchRouterError, BackendUnavailableError, BudgetExceededError

AWAY = BackendUnavailableError("gone", retry_after_s=1.0)
LATE = BudgetExceededError(remaining_s=0.0)


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    """Give a fleet whose only endpoint, blue, is ready."""
    async with running_scene() as made:
        yield made


async def failing(scene: Scene, error: ArchRouterError, *, timeout_s: float = 1.0) -> None:
    """Let one call fail."""
    scene.backend("blue@v1").crash = error
    with pytest.raises(type(error)):
        await scene.fleet.score(QUESTION, timeout_s=timeout_s)
    scene.backend("blue@v1").crash = None


class Silent:
    """Holds the watch's look until it is told what to find."""

    def __init__(self, backend: Backend) -> None:
        """Take the look over."""
        self.begun = asyncio.Event()
        self.found: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        backend.is_ready = self.is_ready  # type: ignore[method-assign]

    async def is_ready(self, *, timeout_s: float) -> bool | None:
        """Wait, then answer always the same."""
        del timeout_s
        self.begun.set()
        return await asyncio.shield(self.found)


async def test_calls_on_a_lost_endpoint_end_with_the_verdict(scene: Scene) -> None:
    """They do not wait for their deadlines, and the calls after them are refused at once."""
    backend = scene.backend("blue@v1")
    backend.gate.clear()
    calls = [asyncio.ensure_future(scene.fleet.score(QUESTION, timeout_s=60)) for _ in range(3)]
    await backend.waiting.wait()

    backend.failure, backend.ready = WRONG, None
    results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)

    assert [BackendUnavailableError] * 3 == [type(result) for result in results]
    assert {"blue": "waiting"} == scene.states()
    assert backend.cancelled.is_set()


async def test_an_endpoint_that_answers_calls_is_only_busy(scene: Scene) -> None:
    """A look that is lost in a crowd of calls proves nothing while they are being answered."""
    backend = scene.backend("blue@v1")
    look = Silent(backend)
    await look.begun.wait()

    await scene.deciding()
    look.found.set_result(None)
    await asyncio.sleep(0.005)

    assert [True] == scene.changes[:1]
    assert "blue" in scene.states()
    assert 1 == scene.fleet.endpoints[0].answer_count


async def test_while_in_doubt_others_wait_a_share_of_their_time_for_one_look(scene: Scene) -> None:
    """The look decides for all; whoever has less time than it takes fails with what a retry may meet."""
    backend = scene.backend("blue@v1")
    look = Silent(backend)
    await failing(scene, AWAY)
    asked = len(backend.timeouts_s)

    short = await asyncio.gather(scene.fleet.score(QUESTION, timeout_s=0.02), return_exceptions=True)
    patient = asyncio.ensure_future(scene.fleet.score(QUESTION, timeout_s=60))
    await asyncio.sleep(0.005)
    asked_meanwhile = len(backend.timeouts_s)
    look.found.set_result(True)
    await asyncio.wait_for(patient, 5)

    assert [BackendUnavailableError] == [type(result) for result in short]
    assert asked == asked_meanwhile
    assert 60 > backend.timeouts_s[-1]


async def test_whoever_waits_in_doubt_fails_when_the_endpoint_is_lost(scene: Scene) -> None:
    """Waiting is over with the verdict, whatever it is."""
    backend = scene.backend("blue@v1")
    look = Silent(backend)
    await failing(scene, AWAY)
    patient = asyncio.ensure_future(scene.fleet.score(QUESTION, timeout_s=60))
    await asyncio.sleep(0.005)

    backend.failure = WRONG
    look.found.set_result(None)

    with pytest.raises(BackendUnavailableError, match="is lost"):
        await asyncio.wait_for(patient, 5)


async def test_a_short_deadline_casts_no_doubt(scene: Scene) -> None:
    """Only who had a fair time may complain."""
    endpoint = scene.fleet.endpoints[0]
    for _ in range(WATCH.max_failures + 1):
        await failing(scene, LATE, timeout_s=WATCH.fair_timeout_s / 2)

    assert (0, "ready") == (endpoint.failure_count, endpoint.state.value)


@pytest.mark.parametrize("error", [AWAY, LATE, WRONG])
async def test_failures_in_a_row_open_the_breaker_and_one_call_closes_it(scene: Scene, error: ArchRouterError) -> None:
    """The server says all the time that it is ready; only a real call of the watch is believed."""
    backend = scene.backend("blue@v1")
    for _ in range(WATCH.max_failures):
        await failing(scene, error)
        backend.failure = WRONG  # of the watch's own call
    await eventually(lambda: scene.states() == {"blue": "waiting"})
    await asyncio.sleep(0.02)  # many tries of the watch
    states_meanwhile = scene.states()

    backend.failure = None
    await eventually(lambda: scene.states() == {"blue": "ready"})

    assert {"blue": "waiting"} == states_meanwhile
    assert "v1" == await scene.deciding()
    assert [True, False, True] == scene.changes


async def test_calls_that_fail_together_count_once(scene: Scene) -> None:
    """They were on one connection, and it was reset: the next call gets another, and is not refused."""
    backend = scene.backend("blue@v1")
    backend.gate.clear()
    calls = [asyncio.ensure_future(scene.fleet.score(QUESTION, timeout_s=60)) for _ in range(2 * WATCH.max_failures)]
    await backend.waiting.wait()

    backend.crash = AWAY
    backend.gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    backend.crash = None

    assert {BackendUnavailableError} == {type(result) for result in results}
    assert 1 == scene.fleet.endpoints[0].failure_count
    assert "v1" == await scene.deciding()
    assert [True] == scene.changes


async def test_an_answer_between_failures_starts_the_count_anew(scene: Scene) -> None:
    """A request that breaks a model does not close it to all others."""
    for _ in range(3):
        await failing(scene, AWAY)
        await scene.deciding()

    assert [True] == scene.changes
