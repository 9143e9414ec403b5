"""Tells the log and the metrics which policy sets have thresholds that were calibrated for something else."""

from collections.abc import Callable, Iterable

import structlog

from archrouter.application.policy_store import PolicyStore
from archrouter.domain.policy import PolicySet, StaleCause
from archrouter.domain.scoring import BackendProfile
from archrouter.observability.metrics import Metrics

_log = structlog.get_logger(__name__)


class ThresholdCheck:
    """Looks when policies were loaded and when models changed; says the same of the same set only once."""

    def __init__(
        self, store: PolicyStore, profiles: Callable[[], Iterable[BackendProfile | None]], metrics: Metrics
    ) -> None:
        """Bind to the sets and to the models that serve, one of which is None while it has not answered yet."""
        self._store = store
        self._profiles = profiles
        self._metrics = metrics
        self._said: dict[str, tuple[str, StaleCause]] = {}

    def __call__(self) -> None:
        """Look once."""
        profiles = list(self._profiles())
        serving = {profile.model_version for profile in profiles if profile is not None}
        self._metrics.thresholds_stale.clear()  # a set that went has no thresholds
        for policy_set_id, loaded in self._store.snapshot.loaded.items():
            cause = _cause(loaded.policy_set, None if None in profiles else serving)
            self._metrics.thresholds_stale.labels(policy_set_id).set(cause is not None)
            if cause is None:
                self._said.pop(policy_set_id, None)
            elif (found := (loaded.policy_set.revision, cause)) != self._said.get(policy_set_id):
                self._said[policy_set_id] = found
                _log.warning("thresholds_stale", policy_set=policy_set_id, cause=cause, remedy="archrouter calibrate")


def _cause(policy_set: PolicySet, serving: set[str] | None) -> StaleCause | None:
    """Say why a set's promise is stale; `serving` is None while some model is unknown."""
    cause = policy_set.stale_promise()
    if cause is None and policy_set.promise is not None and serving is not None:
        return "model" if set(policy_set.promise.model_versions) - serving else None
    return cause
