"""Runs the service: start-up order, signals, graceful shutdown."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import structlog
from grpc import aio
from prometheus_client import CollectorRegistry, disable_created_metrics

from archrouter.app.fleet_reporter import FleetReporter, reload_endpoints
from archrouter.app.listeners import check_can_listen, serve_metrics
from archrouter.app.policy_reloader import PolicyReloader
from archrouter.app.processes import ServerProcesses, first_of
from archrouter.app.records import build_decision_log, build_tracing, write_ready_file
from archrouter.app.security import build_security
from archrouter.app.threshold_check import ThresholdCheck
from archrouter.app.wiring import (
    build_core,
    build_embedded_triton,
    build_rpc_dependencies,
    build_shadow,
    embedded_endpoints,
    endpoint_readers,
    load_engine_bundle,
)
from archrouter.application.policy_store import PolicySnapshot, PolicyStore
from archrouter.config import Settings
from archrouter.inference.embedded import EmbeddedTriton
from archrouter.inference.installation import EmbeddedTritonError
from archrouter.inference.triton_supervisor import keep_running
from archrouter.observability.logging import configure_logging
from archrouter.observability.metrics import INLINE_POLICY_SET, Metrics
from archrouter.policy_files.watch import PolicyWatch
from archrouter.rpc.health import WHOLE_SERVER, Health
from archrouter.rpc.server import build_server
from archrouter.version import VERSION

Reload = Callable[[], Awaitable[object]]
"""What SIGHUP asks for."""

EXIT_OK = 0
EXIT_FAILED = 1

FIRST_ANSWER_WAIT_S = 2.0
"""Longest time from the reservation of the port to the first call that is taken, for a model that is not ready.

A client that spreads its calls over replicas gives one that takes calls its share of them at once. A model that is not
there yet, e.g. a TensorRT engine that is being loaded, must not keep health from answering.
"""

_log = structlog.get_logger(__name__)


class StartError(RuntimeError):
    """The service cannot start as it is configured."""


def serve(
    settings: Settings, *, ready_file: Path | None = None, after_reload_call: Callable[[], None] = lambda: None
) -> int:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: The configuration.
        ready_file: Gets one JSON line ``{"listen": "HOST:PORT"}`` once the service answers, for the program around it.
        after_reload_call: Called when ReloadPolicySets has been answered for this process; others may have to follow.

    Returns:
        Exit code: 0 after a graceful shutdown, also of a service that was still starting; 1 when it could not start,
        or drained because a part of it had failed for good.
    """
    configure_logging(settings.logging.format, settings.logging.level, sys.stderr)
    try:
        if settings.server.processes > 1:
            return EXIT_OK if asyncio.run(ServerProcesses(settings, ready_file).run()) else EXIT_FAILED
        return asyncio.run(_Service(settings, ready_file, after_reload_call).run())
    except asyncio.CancelledError:
        _log.info("stopped_while_starting")
        return EXIT_OK
    except (StartError, EmbeddedTritonError, OSError, ValueError) as error:
        _log.error("start_failed", reason=str(error))  # the message is for an operator
        return EXIT_FAILED


class _Service:
    """One run of the service."""

    def __init__(
        self, settings: Settings, ready_file: Path | None, after_reload_call: Callable[[], None] = lambda: None
    ) -> None:
        self._settings = settings
        self._ready_file = ready_file
        self._after_reload_call = after_reload_call
        self._health = Health()
        self._stop = asyncio.Event()
        self._model_ready = asyncio.Event()
        self._listens = False
        self._address = ""
        self._exit_code = EXIT_OK

    async def run(self) -> int:
        """Start everything in order, serve, and stop everything in the opposite order."""
        _on_stop_signals(asyncio.current_task().cancel)  # type: ignore[union-attr]  # until there are calls to drain
        settings = self._settings
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it untyped
        registry = CollectorRegistry()
        metrics = Metrics(registry, version=VERSION)
        if settings.policies.inline_enabled:
            metrics.start_policy_set_series([INLINE_POLICY_SET])
        async with AsyncExitStack() as stack:
            security = await build_security(settings, metrics)
            check_can_listen(settings.server.listen, "server.listen")
            serve_metrics(settings.metrics.listen, registry, stack)
            bundle = load_engine_bundle(settings)
            triton = build_embedded_triton(settings, bundle)
            if triton is not None:
                stack.callback(triton.close)
            reporter = FleetReporter(metrics, self._health, self._model_changed)
            decision_log = build_decision_log(settings, metrics, stack)
            tracing = build_tracing(settings, stack)
            readers = endpoint_readers(settings, bundle, triton)
            core = build_core(settings, readers, reporter, metrics, security.tickets, tracing)
            shadow = build_shadow(settings, readers, core, metrics, decision_log)
            check = ThresholdCheck(core.store, core.profiles, metrics)
            reporter.then(check)
            reloader = PolicyReloader(core.store, metrics, self._health, (check, *((shadow.load,) if shadow else ())))
            for fleet in (*core.fleets, *(shadow.fleets if shadow else ())):
                stack.push_async_callback(fleet.close)
                fleet.start()
            policies = settings.policies  # the watch begins before the load, so that no change falls between the two
            watch = PolicyWatch(Path(policies.directory), interval_s=policies.watch_interval_s)
            await self._load_policies(core.store, reloader)
            await self._start_triton(triton, stack)
            server, port = build_server(
                build_rpc_dependencies(
                    settings,
                    core,
                    metrics=metrics,
                    health=self._health,
                    reload_policies=partial(self._reload_when_called, reloader),
                    security=security,
                    decision_log=shadow or decision_log,
                    tracing=tracing,
                )
            )
            self._address = f"{settings.server.listen.rpartition(':')[0]}:{port}"
            reloads: list[Reload] = [reloader.reload]
            if settings.triton.endpoints_file:  # after the policies: a new endpoint is prepared for the new ones
                reloads.append(lambda: reload_endpoints(core.fleets[0], metrics))
            watchers = {f"watch the endpoints {index}": fleet.run() for index, fleet in enumerate(core.fleets)}
            watchers |= security.watchers()
            if policies.watch_enabled:
                watchers["watch the policies"] = _reload_on_change(watch, reloader.reload)
            if shadow is not None:
                stack.callback(shadow.close)
                watchers["decide again"] = shadow.run()
                reloads.extend(fleet.reload for fleet in shadow.fleets)
            if triton is not None:
                watchers["watch the embedded Triton"] = keep_running(
                    triton, embedded_endpoints(readers, triton), restart_delay_s=settings.embedded.restart_delay_s
                )
            await self._until_stopped(server, reloads, watchers)
        return self._exit_code

    async def _start_triton(self, triton: EmbeddedTriton | None, stack: AsyncExitStack) -> None:
        if triton is None:
            return
        stack.push_async_callback(triton.stop)
        await triton.start()
        _log.info("embedded_triton_started", pid=triton.pid, endpoint=triton.endpoint, log_file=str(triton.log_file))

    async def _reload_when_called(self, reloader: PolicyReloader) -> PolicySnapshot:
        snapshot = await reloader.reload()
        self._after_reload_call()
        return snapshot

    async def _load_policies(self, store: PolicyStore, reloader: PolicyReloader) -> None:
        """Refuse to start on a broken file, unless this is a restart: then it is what it is to a running service."""
        snapshot = await reloader.reload()
        if snapshot.rejected and not (store.is_restart and snapshot.loaded):
            names = ", ".join(source.source for source in snapshot.rejected)
            msg = f"policy files cannot be used: {names}; the findings are above, or run: archrouter check"
            raise StartError(msg)
        default = self._settings.policies.default
        if default and default not in snapshot.loaded:
            msg = f"policies.default is {default!r}, but the loaded policy sets are {', '.join(snapshot.loaded)}"
            raise StartError(msg)

    async def _listen(self, server: aio.Server) -> None:
        """Take calls once the model can answer them; until then connections wait at the port, which is held."""
        await first_of(self._model_ready.wait(), self._stop.wait(), asyncio.sleep(FIRST_ANSWER_WAIT_S))
        if self._stop.is_set():
            return
        await server.start()
        self._listens = True
        _log.info("listening", address=self._address, version=VERSION)
        self._tell_if_ready()

    def _model_changed(self, ready: bool) -> None:  # noqa: FBT001  # the one argument of a callback
        if ready:
            self._model_ready.set()
            self._tell_if_ready()

    def _tell_if_ready(self) -> None:
        if not (self._listens and self._health.is_serving(WHOLE_SERVER)):
            return
        _log.info("service_ready", address=self._address)
        write_ready_file(self._ready_file, self._address)

    async def _until_stopped(
        self, server: aio.Server, reloads: list[Reload], watchers: dict[str, Coroutine[object, object, None]]
    ) -> None:
        """Serve until a signal or the failure of a watcher, and drain; no task ends the service undrained."""
        loop = asyncio.get_running_loop()
        running: set[asyncio.Task[None]] = set()

        def begin(work: Coroutine[object, object, None], name: str) -> None:
            task = loop.create_task(work, name=name)
            running.add(task)
            task.add_done_callback(running.discard)

        _on_stop_signals(self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: begin(_reload_all(reloads), "reload"))
        for name, watcher in watchers.items():
            begin(self._watch(watcher, name), name)
        await self._listen(server)
        await self._stop.wait()
        await self._drain(server)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _watch(self, watcher: Coroutine[object, object, None], name: str) -> None:
        """Run what the service cannot do without."""
        try:
            await watcher
        except Exception:  # noqa: BLE001  # supervises a task
            _log.exception("background_task_failed", task=name)
            self._exit_code = EXIT_FAILED
            self._stop.set()

    async def _drain(self, server: aio.Server) -> None:
        """Tell load balancers first, then let running calls finish."""
        _log.info("draining")
        self._health.drain()
        await asyncio.sleep(self._settings.server.drain_delay_s)
        self._health.close()
        await server.stop(self._settings.server.shutdown_grace_s)
        _log.info("stopped")


async def _reload_on_change(watch: PolicyWatch, reload: Reload) -> None:
    """Reload after each change of the policy files, until cancelled."""
    async for _ in watch.changes():
        await _reload_all([reload])


async def _reload_all(reloads: list[Reload]) -> None:
    """Do each reload, even when the one before fails."""
    for reload in reloads:
        try:
            await reload()
        except Exception:  # noqa: BLE001  # supervises a task
            _log.exception("reload_failed")


def _on_stop_signals(act: Callable[[], object]) -> None:
    """Act on SIGTERM and Ctrl-C, in place of what was done on them before."""
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, act)
