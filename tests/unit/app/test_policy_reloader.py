"""What a reload of the policies tells the metrics and the log."""

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.support.fake_backend import FakeBackend
from tests.support.fakes import FakeClock, FakeSource, make_set

from archrouter.app.policy_reloader import PolicyReloader
from archrouter.application.policy_store import PolicyStore
from archrouter.application.ports import PolicyLoad
from archrouter.observability.metrics import Metrics
from archrouter.rpc.health import Health


class CrashingSource(FakeSource):
    """A source that does what no source should."""

    def load(self) -> PolicyLoad:
        """Fail as nobody foresaw."""
        raise RuntimeError


async def reload_counts(source: FakeSource) -> tuple[list[float | None], list[str]]:
    """Reload once; return the successes and failures that were counted, and the events that were logged."""
    registry = CollectorRegistry()
    store = PolicyStore(source, FakeBackend(), FakeClock(), default_id="")
    reloader = PolicyReloader(store, Metrics(registry, version="1"), Health())
    with capture_logs() as logs:
        if isinstance(source, CrashingSource):
            with pytest.raises(RuntimeError):
                await reloader.reload()
        else:
            await reloader.reload()
    name = "archrouter_policy_reloads_total"
    counts = [registry.get_sample_value(name, {"result": result}) for result in ("success", "failure")]
    return counts, [log["event"] for log in logs]


async def test_a_reload_that_raises_counts_as_a_failure() -> None:
    """An alert on failures must see the reload that came to no end at all."""
    assert ([0.0, 1.0], []) == await reload_counts(CrashingSource(make_set("a")))


async def test_a_reload_without_a_rejected_file_is_a_success() -> None:
    """The usual case."""
    assert ([1.0, 0.0], ["policies_loaded"]) == await reload_counts(FakeSource(make_set("a")))


async def test_each_finding_of_a_rejected_file_is_logged_with_its_place() -> None:
    """An operator finds file, line and reason in the log."""
    source = FakeSource(make_set("a"))
    source.broken = ("b.yaml",)

    assert ([0.0, 1.0], ["policy_file_rejected", "policies_loaded"]) == await reload_counts(source)
