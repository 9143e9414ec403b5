"""Watches whether the model answers, and says so when that changes."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from archrouter.domain.errors import ArchRouterError
from archrouter.domain.scoring import BackendProfile

_log = structlog.get_logger(__name__)


class Watched(Protocol):
    """What can be watched: a `ScoringBackend`, or one engine of several."""

    async def warm_up(self, *, timeout_s: float) -> BackendProfile:
        """See `ScoringBackend.warm_up`."""
        ...

    async def is_ready(self, *, timeout_s: float) -> bool:
        """See `ScoringBackend.is_ready`."""
        ...


class ModelMonitor:
    """Warms the model up until it answers a real call, then asks for its readiness until it is lost."""

    def __init__(
        self,
        backend: Watched,
        on_change: Callable[[bool], None],
        *,
        interval_s: float,
        warm_up_timeout_s: float,
        profile: BackendProfile | None = None,
        name: str = "",
    ) -> None:
        """Ask nothing before `run`.

        Args:
            backend: The model.
            on_change: Called with the new state when it changes.
            interval_s: Time between two questions, in seconds; half the time a loss may go unnoticed.
            warm_up_timeout_s: Time for one warm-up call, in seconds.
            profile: Of a model that has just been warmed up, so that it starts as ready; None starts as not ready.
            name: Which model it is, for the log, where there are several.
        """
        self._backend = backend
        self._on_change = on_change
        self._interval_s = interval_s
        self._warm_up_timeout_s = warm_up_timeout_s
        self._profile = profile
        self._log = _log.bind(engine=name) if name else _log

    @property
    def profile(self) -> BackendProfile | None:
        """The model that answered last; None when none has yet."""
        return self._profile

    async def run(self) -> None:
        """Watch until cancelled."""
        is_warm = self._profile is not None
        while True:
            if not is_warm:
                await self._wait_until_warm()
                self._on_change(True)  # noqa: FBT003  # the one argument of a callback
            while await self._backend.is_ready(timeout_s=self._interval_s):  # noqa: ASYNC110  # another process
                await asyncio.sleep(self._interval_s)
            self._log.error("model_lost")
            self._on_change(False)  # noqa: FBT003
            is_warm = False

    async def _wait_until_warm(self) -> None:
        reason = ""
        while True:
            try:
                profile = await self._backend.warm_up(timeout_s=self._warm_up_timeout_s)
            except ArchRouterError as error:
                if str(error) != reason:  # a lasting cause is logged once
                    reason = str(error)
                    self._log.warning("model_not_ready", reason=reason)
                await asyncio.sleep(self._interval_s)
            else:
                self._profile = profile
                self._log.info("model_ready", model_version=profile.model_version, tier=profile.tier.value)
                return
