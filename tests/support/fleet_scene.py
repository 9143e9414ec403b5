"""A fleet of endpoints over fake models, wired to metrics and health as the service wires it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import cast

from prometheus_client import CollectorRegistry
from tests.support.fake_backend import FAKE_PROFILE
from tests.support.fakes import make_set
from tests.support.rpc_service import GatedBackend, eventually

from archrouter.app.fleet_reporter import FleetReporter, reload_endpoints
from archrouter.config import TritonSettings
from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.errors import BackendProtocolError
from archrouter.domain.findings import Finding, Severity
from archrouter.domain.scoring import ScoringRequest, Tier
from archrouter.inference.bundle import Bundle
from archrouter.inference.endpoint import EndpointList, EndpointSpec
from archrouter.inference.fleet import Fleet
from archrouter.inference.model import Model
from archrouter.observability.metrics import Metrics
from archrouter.rpc.health import Health

WATCH = TritonSettings(
    health_interval_s=0.001,
    probe_timeout_s=1.0,
    warm_up_timeout_s=1.0,
    max_failures=3,
    fair_timeout_s=0.5,
    doubt_budget_share=0.5,
)
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
            partial(FleetReporter(self.metrics, self.health, self.changes.append), Tier.ENGINE),
            WATCH,
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


@asynccontextmanager
async def running_scene() -> AsyncIterator[Scene]:
    """Run a fleet whose only endpoint, blue, is ready and serves one policy set."""
    made = Scene()
    made.fleet.start()
    await made.fleet.prepare(make_set("support"))
    made.running = asyncio.ensure_future(made.fleet.run())
    await eventually(lambda: made.fleet.ready)
    yield made
    await made.stop()
