"""Reloads the policy files, and tells the log, the metrics and the health service what came of it."""

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog

from archrouter.application.policy_store import PolicySnapshot, PolicyStore
from archrouter.observability.metrics import Metrics
from archrouter.rpc.health import Component, Health

_log = structlog.get_logger(__name__)


class PolicyReloader:
    """One reload at a time, whatever asked for it: start-up, a changed file, SIGHUP or ReloadPolicySets."""

    def __init__(
        self, store: PolicyStore, metrics: Metrics, health: Health, then: Iterable[Callable[[], None]] = ()
    ) -> None:
        """Bind to the store whose snapshot is replaced, and to what is done after each time."""
        self._store = store
        self._metrics = metrics
        self._health = health
        self._then = tuple(then)
        self._lock = asyncio.Lock()

    async def reload(self) -> PolicySnapshot:
        """Load the policy files again and return what serves now; an unusable one keeps its last good revision."""
        try:
            async with self._lock:
                snapshot = await self._store.reload()
        except Exception:
            self._metrics.count_policy_reload(is_success=False, unix_time_s=time.time())
            raise
        log_rejected(snapshot)
        self._metrics.count_policy_reload(is_success=not snapshot.rejected, unix_time_s=time.time())
        self._metrics.start_policy_set_series(snapshot.loaded)
        self._health.set_ready(Component.POLICIES, ready=bool(snapshot.loaded))
        revisions = {policy_set_id: loaded.policy_set.revision for policy_set_id, loaded in snapshot.loaded.items()}
        _log.info("policies_loaded", revisions=revisions, rejected_count=len(snapshot.rejected))
        for act in self._then:
            act()
        return snapshot


def log_rejected(snapshot: PolicySnapshot) -> None:
    """Tell the log of each finding that keeps a file from being used."""
    for source in snapshot.rejected:
        for finding in source.findings:
            _log.error("policy_file_rejected", file=source.source, **finding.log_fields)
