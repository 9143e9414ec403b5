"""The endpoints of a list at run time: brought up, exchanged without losing a call, kept where the new ones fail."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import cast

import pytest
import pytest_asyncio
from fake_backend import FAKE_PROFILE
from fakes import make_set
from prometheus_client import CollectorRegistry
from rpc_service import GatedBackend, eventually
from structlog.testing import capture_logs

from archrouter.app.fleet_reporter import FleetReporter, reload_endpoints
from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.errors import BackendProtocolError, BackendUnavailableError
from archrouter.domain.findings import Finding, Severity
from archrouter.domain.scoring import ScoringRequest
from archrouter.inference.bundle import Bundle
from archrouter.inference.endpoint import EndpointList, EndpointSpec, Model
from archrouter.inference.fleet import Fleet
from archrouter.observability.metrics import Metrics
from archrouter.rpc.health import ENDPOINTS_SERVICE, Health

QUESTION = ScoringRequest(make_set("support"), Conversation.from_messages((Message(Role.USER, "writing code"),)))
WRONG = BackendProtocolError("it serves sha256:f, the bundle is sha256:a")
BROKEN = EndpointList((), (Finding(Severity.ERROR, "endpoints[0].endpoint", "is not HOST:PORT", 2, 5),))


class Backend(GatedBackend):
    """A model that knows whether its connection was closed."""

    closed = False

    async def close(self) -> None:
        """Remember it."""
        self.closed = True


def listed(*endpoints: str) -> EndpointList:
    """List endpoints written as ``host@version``; the fleet looks at the profile of a bundle only."""
    specs = []
    for host, _, version in (endpoint.partition("@") for endpoint in endpoints):
        bundle = SimpleNamespace(profile=replace(FAKE_PROFILE, model_version=version))
        specs.append(EndpointSpec(f"{host}:8001", "tensorrt_llm", cast("Bundle", bundle)))
    return EndpointList(tuple(specs), ())


@dataclass
class Scene:
    """A running fleet over fake models, by ``host@version``."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    health: Health = field(default_factory=Health)
    backends: dict[str, Backend] = field(default_factory=dict)
    changes: list[bool] = field(default_factory=list)
    file: EndpointList = field(default_factory=lambda: listed("blue@v1"))
    running: asyncio.Future[None] | None = None

    def __post_init__(self) -> None:
        """Wire the fleet."""
        self.metrics = Metrics(self.registry, version="1")
        self.fleet = Fleet(
            lambda: self.file,
            self.connect,
            FleetReporter(self.metrics, self.health, self.changes.append),
            interval_s=0.001,
            warm_up_timeout_s=1.0,
        )

    def backend(self, endpoint: str) -> Backend:
        """Give the fake behind an endpoint; it may be set up before the endpoint is listed."""
        version = endpoint.split("@")[1]
        return self.backends.setdefault(endpoint, Backend(replace(FAKE_PROFILE, model_version=version)))

    def connect(self, wanted: EndpointSpec) -> Model:
        """Connect to a fake."""
        assert wanted.profile is not None
        return self.backend(f"{wanted.address.partition(':')[0]}@{wanted.profile.model_version}")

    async def reload(self) -> bool:
        """Reload as SIGHUP does."""
        return await reload_endpoints(self.fleet, self.metrics)

    def states(self) -> dict[str, str]:
        """Say which endpoint of the list is in which state."""
        return {endpoint.name.partition(":")[0]: endpoint.state.value for endpoint in self.fleet.endpoints}

    def metric(self, name: str, **labels: str) -> float | None:
        """Read a sample."""
        return self.registry.get_sample_value(name, labels)

    async def stop(self) -> None:
        """End the fleet as the service does."""
        assert self.running is not None
        self.running.cancel()
        await asyncio.wait([self.running])

    async def deciding(self) -> str:
        """Ask for a decision and say which version made it."""
        return (await self.fleet.score(QUESTION, timeout_s=1.0)).profile.model_version


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    """Give a fleet whose only endpoint, blue, is ready and serves one policy set."""
    made = Scene()
    made.fleet.start()
    await made.fleet.prepare(make_set("support"))
    made.running = asyncio.ensure_future(made.fleet.run())
    await eventually(lambda: made.fleet.ready)
    yield made
    await made.stop()


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


async def test_reloads_run_one_after_the_other(scene: Scene) -> None:
    """Two signals at once end with the list of the file."""
    scene.file = listed("green@v2")

    assert (True, True) == tuple(await asyncio.gather(scene.reload(), scene.reload()))
    assert {"green": "ready"} == scene.states()


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
