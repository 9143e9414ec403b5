"""What log and metrics say of thresholds that were calibrated for something else."""

from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.support.fake_backend import FAKE_PROFILE, FakeBackend
from tests.support.fakes import FakeClock, FakeSource, make_set, promised

from archrouter.app.fleet_reporter import FleetReporter
from archrouter.app.policy_reloader import PolicyReloader
from archrouter.app.threshold_check import ThresholdCheck
from archrouter.application.policy_store import PolicyStore
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import BackendProfile, Tier
from archrouter.inference.roster import FleetStatus
from archrouter.observability.metrics import Metrics
from archrouter.rpc.health import Health

MODEL = FAKE_PROFILE.model_version


class Scene:
    """Policies and models that change, with all that tells of it wired as in the service."""

    def __init__(self, *sets: PolicySet) -> None:
        """Serve the sets by models that have not answered yet."""
        self.registry = CollectorRegistry()
        self.profiles: list[BackendProfile | None] = [None, None]
        self.source = FakeSource(*sets)
        metrics, health = Metrics(self.registry, version="1"), Health()
        store = PolicyStore(self.source, FakeBackend(), FakeClock(), default_id="")
        check = ThresholdCheck(store, lambda: self.profiles, metrics)
        self.reporter = FleetReporter(metrics, health, lambda _ready: None)
        self.reporter.then(check)
        self.reloader = PolicyReloader(store, metrics, health, (check,))

    async def load(self, *sets: PolicySet) -> list[tuple[str, str]]:
        """Load policies, and list what was said."""
        self.source.sets = sets
        with capture_logs() as events:
            await self.reloader.reload()
        return said(events)

    def answer(self, *versions: str) -> list[tuple[str, str]]:
        """Let the models answer, and list what was said."""
        self.profiles[:] = [replace(FAKE_PROFILE, model_version=version) for version in versions]
        with capture_logs() as events:
            for _ in range(3):
                self.reporter(Tier.COMPACT, FleetStatus(is_ready=True, is_complete=True, counts={}))
        return said(events)

    def gauge(self, policy_set_id: str) -> float | None:
        """Read the metric of a set; None where there is none."""
        return self.registry.get_sample_value("archrouter_policy_thresholds_stale", {"policy_set": policy_set_id})


def said(events: list[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    """List the policy sets that were complained of, and why."""
    return [(one["policy_set"], one["cause"]) for one in events if one["event"] == "thresholds_stale"]


async def test_policies_that_changed_since_are_told_when_they_are_loaded() -> None:
    """Once for each revision, until they are calibrated again; a set without a promise, or that went, breaks none."""
    scene, kept = Scene(), make_set("kept")
    calibrated = promised(make_set("edited"), MODEL)
    edited = replace(calibrated, routes=make_set("edited", "else").routes)

    assert [] == await scene.load(calibrated, kept)
    assert (0.0, 0.0) == (scene.gauge("edited"), scene.gauge("kept"))
    assert [("edited", "policies")] == await scene.load(edited, kept)
    assert [] == await scene.load(edited, kept)
    assert (1.0, 0.0) == (scene.gauge("edited"), scene.gauge("kept"))
    assert [] == await scene.load(promised(edited, MODEL), kept)
    assert 0.0 == scene.gauge("edited")
    assert [("edited", "policies")] == await scene.load(edited, kept)
    await scene.load(kept)
    assert scene.gauge("edited") is None


async def test_a_model_that_changed_since_is_told_when_it_serves() -> None:
    """Once; a promise of a tier that never decides says nothing, nor does a model that nobody has heard of yet."""
    scene = Scene()
    await scene.load(promised(make_set("code"), MODEL))

    assert 0.0 == scene.gauge("code")
    assert [] == scene.answer("sha256:engine", MODEL)
    assert [("code", "model")] == scene.answer("sha256:engine", "sha256:new")
    assert [] == scene.answer("sha256:engine", "sha256:new")
    assert 1.0 == scene.gauge("code")
    assert [] == await scene.load(promised(make_set("code"), "sha256:new + sha256:engine"))
    assert 0.0 == scene.gauge("code")
    assert [("code", "model")] == scene.answer("sha256:engine", MODEL)
