"""Test doubles of the ports that have no shipped fake."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from archrouter.application.ports import PolicyLoad, RejectedSource, SourcedPolicySet
from archrouter.domain.findings import Finding, Severity
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy, ThresholdPromise


class FakeClock:
    """A clock that stands still unless it is told to move."""

    def __init__(self) -> None:
        """Start at an arbitrary moment."""
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        """Return the start plus what has elapsed."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.elapsed_s)

    def monotonic_s(self) -> float:
        """Return what has elapsed."""
        return self.elapsed_s


class FakeSource:
    """A policy source that returns what it is given."""

    def __init__(self, *sets: PolicySet) -> None:
        """Offer each set as the file ``<id>.yaml``."""
        self.sets = sets
        self.broken: tuple[str, ...] = ()
        self.unreadable = False

    def load(self) -> PolicyLoad:
        """Return the sets, and the broken sources with one finding each; nothing at all while unreadable."""
        if self.unreadable:
            return PolicyLoad((), (), complete=False)
        accepted = tuple(
            SourcedPolicySet(f"{one.id}.yaml", one) for one in self.sets if f"{one.id}.yaml" not in self.broken
        )
        finding = Finding(Severity.ERROR, "routes", "broken on purpose")
        return PolicyLoad(accepted, tuple(RejectedSource(name, (finding,)) for name in self.broken))


def make_set(policy_set_id: str, description: str = "writing code") -> PolicySet:
    """Build a valid set with one route."""
    models = (ModelTarget("m/coder"),)
    return PolicySet(
        policy_set_id, "", (RoutePolicy("coding", "coding", "", description, models),), (ModelTarget("m/general"),)
    )


def promised(policy_set: PolicySet, model_version: str) -> PolicySet:
    """Add the promise that ``archrouter calibrate`` writes beside a set's thresholds."""
    return replace(policy_set, promise=ThresholdPromise(0.02, 0.9, 300, model_version, policy_set.promised_revision))
