"""The engines of an engines file at run time: watched each by itself, and exchanged without losing a call.

A new list is taken over in this order: the file and its bundles are read, the engines that are new are checked and
warmed up with every policy set, they take calls, and those that left the list finish theirs. Before the new ones take
calls nothing has changed, so whatever goes wrong leaves the old ones serving.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

import structlog

from archrouter.domain.errors import ArchRouterError
from archrouter.domain.findings import has_errors
from archrouter.domain.scoring import BackendProfile
from archrouter.inference.endpoint import EnginePool, EngineState, PooledEngine
from archrouter.inference.endpoints_file import EngineList, EngineSpec
from archrouter.inference.model_monitor import ModelMonitor
from archrouter.observability.metrics import Metrics
from archrouter.rpc.health import Component, Health

_log = structlog.get_logger(__name__)


class EngineFleet:
    """Keeps a pool's engines in step with an engines file. For one event loop; not thread-safe."""

    def __init__(
        self,
        pool: EnginePool,
        read_list: Callable[[], EngineList],
        make_engine: Callable[[EngineSpec], PooledEngine],
        on_change: Callable[[bool], None],
        *,
        metrics: Metrics,
        health: Health,
        interval_s: float,
        warm_up_timeout_s: float,
    ) -> None:
        """Read nothing before `start`.

        Args:
            pool: What the router sees.
            read_list: Reads the engines file; may take seconds.
            make_engine: Makes the connection to an engine; calls nothing.
            on_change: Called with whether any engine takes calls, when that changes.
            metrics: Counts reloads and engines.
            health: Learns whether the list and what serves agree.
            interval_s: Time between two looks at an engine, in seconds.
            warm_up_timeout_s: Time for the checks of one engine, in seconds.
        """
        self._pool = pool
        self._read_list = read_list
        self._make_engine = make_engine
        self._on_change = on_change
        self._metrics = metrics
        self._health = health
        self._interval_s = interval_s
        self._warm_up_timeout_s = warm_up_timeout_s
        self._specs: dict[PooledEngine, EngineSpec] = {}
        self._watchers: dict[PooledEngine, asyncio.Task[None]] = {}
        self._draining: set[PooledEngine] = set()
        self._group = asyncio.TaskGroup()
        self._running = asyncio.Event()
        self._lock = asyncio.Lock()
        self._is_list_served = True
        self._was_ready = False

    @property
    def profile(self) -> BackendProfile | None:
        """The model that decides; see `EnginePool.profile`."""
        return self._pool.profile

    def start(self) -> None:
        """Take the engines of the file as they are; `run` brings up each when it passes its checks.

        Raises:
            ValueError: When the file or a bundle in it cannot be used, with every finding.
        """
        listed = self._read_list()
        if has_errors(listed.findings):
            msg = "the engines file (triton.engines_file) cannot be used: " + "; ".join(
                f"line {finding.line}, column {finding.column}: {finding.field_path}: {finding.message}"
                for finding in listed.findings
            )
            raise ValueError(msg)
        self._pool.engines = tuple(self._make(spec) for spec in listed.engines)
        self._publish()

    async def run(self) -> None:
        """Watch the engines until cancelled."""
        async with self._group:
            for engine in self._pool.engines:
                self._watch(engine)
            self._running.set()
            await asyncio.Event().wait()  # until cancelled

    async def reload(self) -> bool:
        """Read the file anew and take its list over, or keep what serves. Waits for `run` to have begun.

        Returns:
            Whether the list of the file is the one that serves now.
        """
        await self._running.wait()
        async with self._lock:
            self._is_list_served = False
            self._publish()
            rejection = await self._take_over()
            self._is_list_served = not rejection
            self._metrics.count_engine_reload("failure" if rejection else "success")
            if rejection:
                serving = [engine.name for engine in self._pool.ready]
                _log.error("engines_rejected", reason=rejection, still_serving=serving)
            self._publish()
        return not rejection

    async def _take_over(self) -> str:
        """Exchange the engines, or say why they stay."""
        listed = await asyncio.to_thread(self._read_list)
        if has_errors(listed.findings):
            _log_findings(listed)
            return "the engines file cannot be used"
        engines = tuple(self._kept(spec) or self._make(spec) for spec in listed.engines)
        newcomers = [engine for engine in engines if engine not in self._pool.engines]
        passed = await asyncio.gather(*(self._passes(engine) for engine in newcomers))
        rejection = ""
        if newcomers and not any(passed):
            rejection = "no new engine of the list passed its checks"
        elif not any(engine.state is EngineState.READY for engine in engines):
            rejection = "no engine of the list is ready"
        if rejection and self._pool.ready:  # where nothing serves there is nothing to protect
            for engine in newcomers:
                await self._close(engine)
            return rejection
        leaving = [engine for engine in self._pool.engines if engine not in engines]
        self._pool.engines = engines
        for engine in leaving:
            self._drain(engine)
        for engine in newcomers:
            self._watch(engine)
        _log.info("engines_taken_over", engines=[self._facts(engine) for engine in engines], draining=len(leaving))
        return ""

    def _kept(self, spec: EngineSpec) -> PooledEngine | None:
        return next((engine for engine in self._pool.engines if self._specs[engine].is_same_as(spec)), None)

    def _make(self, spec: EngineSpec) -> PooledEngine:
        engine = self._make_engine(spec)
        self._specs[engine] = spec
        return engine

    async def _passes(self, engine: PooledEngine) -> bool:
        try:
            await engine.warm_up(timeout_s=self._warm_up_timeout_s)
        except ArchRouterError as error:
            _log.error("engine_refused", **self._facts(engine), reason=str(error))
            return False
        engine.state = EngineState.READY
        return True

    def _watch(self, engine: PooledEngine) -> None:
        monitor = ModelMonitor(
            engine,
            partial(self._engine_changed, engine),
            interval_s=self._interval_s,
            warm_up_timeout_s=self._warm_up_timeout_s,
            profile=engine.profile,
            name=engine.name,
        )
        self._watchers[engine] = self._group.create_task(monitor.run(), name=f"watch {engine.name}")

    def _engine_changed(self, engine: PooledEngine, ready: bool) -> None:  # noqa: FBT001  # the argument of a callback
        engine.state = EngineState.READY if ready else EngineState.WAITING
        self._publish()

    def _drain(self, engine: PooledEngine) -> None:
        engine.state = EngineState.DRAINING
        self._watchers.pop(engine).cancel()
        self._draining.add(engine)
        self._group.create_task(self._close(engine), name=f"drain {engine.name}")

    async def _close(self, engine: PooledEngine) -> None:
        await engine.finish()
        _log.info("engine_closed", **self._facts(engine))
        self._draining.discard(engine)
        del self._specs[engine]
        self._publish()

    def _publish(self) -> None:
        """Tell metrics, health and service what is ready."""
        ready, engines = self._pool.ready, self._pool.engines
        self._metrics.set_engine_states(Counter(engine.state.value for engine in (*engines, *self._draining)))
        self._health.set_ready(Component.ENGINES, ready=self._is_list_served and len(ready) == len(engines))
        if bool(ready) != self._was_ready:
            self._was_ready = bool(ready)
            self._on_change(self._was_ready)

    def _facts(self, engine: PooledEngine) -> dict[str, str]:
        return {"engine": engine.name, "model_version": self._specs[engine].bundle.profile.model_version}


def _log_findings(listed: EngineList) -> None:
    for finding in listed.findings:
        _log.error(
            "engines_file_rejected",
            line=finding.line,
            column=finding.column,
            field_path=finding.field_path,
            reason=finding.message,
        )
