"""Tells the metrics and the health service what the fleet says of itself."""

from collections.abc import Callable

from archrouter.inference.fleet import Fleet, FleetStatus
from archrouter.observability.metrics import Metrics
from archrouter.rpc.health import Component, Health


class FleetReporter:
    """Listens to a fleet."""

    def __init__(self, metrics: Metrics, health: Health, on_ready: Callable[[bool], None]) -> None:
        """Start with nothing ready; `on_ready` is told whether any endpoint takes calls, when that changes."""
        self._metrics = metrics
        self._health = health
        self._on_ready = on_ready
        self._was_ready = False

    def __call__(self, status: FleetStatus) -> None:
        """Report a change."""
        self._metrics.set_endpoint_states({state.value: count for state, count in status.counts.items()})
        self._health.set_ready(Component.ENDPOINTS, ready=status.is_complete)
        self._health.set_ready(Component.MODEL, ready=status.is_ready)
        if status.is_ready != self._was_ready:
            self._was_ready = status.is_ready
            self._on_ready(status.is_ready)


async def reload_endpoints(fleet: Fleet, metrics: Metrics) -> bool:
    """Have a fleet read its list again, and count what came of it; say whether it is the one that serves now."""
    taken = False
    try:
        taken = await fleet.reload()
    finally:
        metrics.count_endpoint_reload("success" if taken else "failure")
    return taken
