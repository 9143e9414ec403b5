"""Tells the metrics and the health service what the fleets say of themselves."""

from collections import Counter
from collections.abc import Callable

from archrouter.domain.scoring import Tier
from archrouter.inference.endpoint import EndpointState
from archrouter.inference.fleet import Fleet
from archrouter.inference.roster import FleetStatus
from archrouter.observability.metrics import Metrics
from archrouter.rpc.health import Component, Health


class FleetReporter:
    """Listens to the fleet of each tier: the service is ready while any of them is."""

    def __init__(self, metrics: Metrics, health: Health, on_ready: Callable[[bool], None]) -> None:
        """Start with nothing ready; `on_ready` is told whether any endpoint takes calls, when that changes."""
        self._metrics = metrics
        self._health = health
        self._on_ready = on_ready
        self._statuses: dict[Tier, FleetStatus] = {}
        self._was_ready = False
        self._then: list[Callable[[], None]] = []

    def then(self, act: Callable[[], None]) -> None:
        """Do something after each report from now on."""
        self._then.append(act)

    def __call__(self, tier: Tier, status: FleetStatus) -> None:
        """Report a change in a tier."""
        self._statuses[tier] = status
        self._metrics.tier_ready.labels(tier.value).set(status.is_ready)
        statuses = self._statuses.values()
        counts: Counter[EndpointState] = Counter()
        for one in statuses:
            counts.update(one.counts)
        self._metrics.set_endpoint_states({state.value: count for state, count in counts.items()})
        self._health.set_ready(Component.ENDPOINTS, ready=all(one.is_complete for one in statuses))
        is_ready = any(one.is_ready for one in statuses)
        self._health.set_ready(Component.MODEL, ready=is_ready)
        if is_ready != self._was_ready:
            self._was_ready = is_ready
            self._on_ready(is_ready)
        for act in self._then:
            act()


async def reload_endpoints(fleet: Fleet, metrics: Metrics) -> bool:
    """Have a fleet read its list again, and count what came of it; say whether it is the one that serves now."""
    taken = False
    try:
        taken = await fleet.reload()
    finally:
        metrics.count_endpoint_reload("success" if taken else "failure")
    return taken
