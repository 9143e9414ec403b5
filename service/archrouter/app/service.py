"""Runs the service: start-up order, signals, graceful shutdown."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from grpc import aio
from prometheus_client import CollectorRegistry, disable_created_metrics, start_http_server

from archrouter import __version__
from archrouter.app.policy_reloader import PolicyReloader
from archrouter.app.wiring import (
    Core,
    build_backend,
    build_core,
    build_embedded_triton,
    build_engine_fleet,
    build_engine_pool,
    build_rpc_dependencies,
    load_engine_bundle,
)
from archrouter.config import Settings
from archrouter.inference.embedded import EmbeddedTriton, EmbeddedTritonError
from archrouter.inference.endpoint import EnginePool
from archrouter.inference.fleet import EngineFleet
from archrouter.inference.model_monitor import ModelMonitor
from archrouter.inference.served_model import ServedModel
from archrouter.inference.triton_supervisor import keep_running
from archrouter.observability.logging import configure_logging
from archrouter.observability.metrics import INLINE_POLICY_SET, Metrics
from archrouter.rpc.health import WHOLE_SERVER, Component, Health
from archrouter.rpc.server import build_server

Reload = Callable[[], Coroutine[object, object, object]]
"""What SIGHUP asks for."""

EXIT_OK = 0
EXIT_START_FAILED = 1

_log = structlog.get_logger(__name__)


class StartError(RuntimeError):
    """The service cannot start as it is configured."""


def serve(settings: Settings, *, ready_file: Path | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then drain.

    Args:
        settings: The configuration.
        ready_file: Gets one JSON line ``{"listen": "HOST:PORT"}`` once the service answers; for whoever started it.

    Returns:
        Exit code: 0 after a graceful shutdown, also of a service that was still starting, 1 when it could not start.
    """
    configure_logging(settings.logging.format, settings.logging.level, sys.stderr)
    try:
        asyncio.run(_Service(settings, ready_file).run())
    except asyncio.CancelledError:
        _log.info("stopped_while_starting")
    except (StartError, EmbeddedTritonError, OSError, ValueError) as error:
        _log.error("start_failed", reason=str(error))  # the message is for an operator
        return EXIT_START_FAILED
    return EXIT_OK


class _Service:
    """One run of the service."""

    def __init__(self, settings: Settings, ready_file: Path | None) -> None:
        self._settings = settings
        self._ready_file = ready_file
        self._health = Health()
        self._stop = asyncio.Event()
        self._address = ""

    async def run(self) -> None:
        """Start everything in order, serve, and stop everything in the opposite order."""
        _on_stop_signals(asyncio.current_task().cancel)  # type: ignore[union-attr]  # until there are calls to drain
        settings = self._settings
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it untyped
        registry = CollectorRegistry()
        metrics = Metrics(registry, version=__version__)
        if settings.policies.inline_enabled:
            metrics.start_policy_set_series([INLINE_POLICY_SET])
        async with AsyncExitStack() as stack:
            pool = build_engine_pool(settings)
            bundle = load_engine_bundle(settings)
            triton = build_embedded_triton(settings, bundle)
            endpoint = triton.endpoint if triton else settings.triton.endpoint
            core = build_core(settings, pool or build_backend(settings, endpoint, bundle, metrics))
            stack.push_async_callback(core.backend.close)
            model = self._model(core, pool, metrics)
            reloader = PolicyReloader(core.store, metrics, self._health)
            await self._load_policies(reloader)
            await self._start_triton(triton, stack)
            server, port = build_server(
                build_rpc_dependencies(
                    settings,
                    core,
                    metrics=metrics,
                    health=self._health,
                    profile=lambda: model.profile,
                    reload_policies=reloader.reload,
                )
            )
            self._address = f"{settings.server.listen.rpartition(':')[0]}:{port}"
            self._serve_metrics(registry, stack)
            await server.start()
            _log.info("listening", address=self._address, version=__version__)
            watchers: list[Coroutine[object, object, None]] = [model.run()]
            if triton is not None:
                watchers.append(keep_running(triton, restart_delay_s=settings.embedded.restart_delay_s))
            reloads: list[Reload] = [reloader.reload]
            if isinstance(model, EngineFleet):
                reloads.append(model.reload)  # after the policies: a new engine is prepared for the new ones
            await self._until_stopped(server, reloads, watchers)

    def _model(self, core: Core, pool: EnginePool | None, metrics: Metrics) -> ModelMonitor | EngineFleet:
        """Make what brings the model up: one, or the engines of the engines file, which is read here."""
        if pool is not None:
            fleet = build_engine_fleet(
                self._settings, pool, core.store, self._model_changed, metrics=metrics, health=self._health
            )
            fleet.start()
            return fleet
        return ModelMonitor(
            ServedModel(core.backend, core.store.served_policy_sets),
            self._only_model_changed,
            interval_s=self._settings.triton.health_interval_s,
            warm_up_timeout_s=self._settings.triton.warm_up_timeout_s,
        )

    async def _start_triton(self, triton: EmbeddedTriton | None, stack: AsyncExitStack) -> None:
        if triton is None:
            return
        stack.callback(triton.close)
        stack.push_async_callback(triton.stop)
        await triton.start()
        _log.info("embedded_triton_started", pid=triton.pid, endpoint=triton.endpoint, log_file=str(triton.log_file))

    async def _load_policies(self, reloader: PolicyReloader) -> None:
        """Refuse to start on a broken file: there is no good revision yet that it could be kept from replacing."""
        snapshot = await reloader.reload()
        if snapshot.rejected:
            names = ", ".join(source.source for source in snapshot.rejected)
            msg = f"policy files cannot be used: {names}; the findings are above, or run: archrouter check"
            raise StartError(msg)
        if not snapshot.loaded:
            msg = f"no policy file in {self._settings.policies.directory!r}; set policies.directory"
            raise StartError(msg)
        default = self._settings.policies.default
        if default and default not in snapshot.loaded:
            msg = f"policies.default is {default!r}, but the loaded policy sets are {', '.join(snapshot.loaded)}"
            raise StartError(msg)

    def _serve_metrics(self, registry: CollectorRegistry, stack: AsyncExitStack) -> None:
        listen = self._settings.metrics.listen
        if not listen:
            return
        host, _, port = listen.rpartition(":")
        metrics_server, thread = start_http_server(int(port), addr=host or "0.0.0.0", registry=registry)  # noqa: S104
        stack.callback(thread.join)
        stack.callback(metrics_server.server_close)
        stack.callback(metrics_server.shutdown)

    def _model_changed(self, ready: bool) -> None:  # noqa: FBT001  # the one argument of a callback
        self._health.set_ready(Component.MODEL, ready=ready)
        if ready and self._health.is_serving(WHOLE_SERVER):
            _log.info("service_ready", address=self._address)
            if self._ready_file is not None:
                self._ready_file.write_text(json.dumps({"listen": self._address}) + "\n")

    def _only_model_changed(self, ready: bool) -> None:  # noqa: FBT001  # the one argument of a callback
        self._health.set_ready(Component.ENGINES, ready=ready)
        self._model_changed(ready)

    async def _until_stopped(
        self, server: aio.Server, reloads: list[Reload], watchers: list[Coroutine[object, object, None]]
    ) -> None:
        running: set[asyncio.Task[object]] = set()
        _on_stop_signals(self._stop.set)
        async with asyncio.TaskGroup() as group:

            async def reload_all() -> None:
                for reload in reloads:
                    await reload()

            def reload_on_signal() -> None:
                task = group.create_task(reload_all(), name="reload")
                running.add(task)
                task.add_done_callback(running.discard)

            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload_on_signal)
            tasks = [group.create_task(watcher) for watcher in watchers]
            await self._stop.wait()
            await self._drain(server)
            for task in (*tasks, *running):
                task.cancel()

    async def _drain(self, server: aio.Server) -> None:
        """Tell load balancers first, then let running calls finish."""
        _log.info("draining")
        self._health.drain()
        await asyncio.sleep(self._settings.server.drain_delay_s)
        self._health.close()
        await server.stop(self._settings.server.shutdown_grace_s)
        _log.info("stopped")


def _on_stop_signals(act: Callable[[], object]) -> None:
    """Act on SIGTERM and Ctrl-C, in place of what was done on them before."""
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, act)
