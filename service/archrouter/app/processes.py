"""Several server processes on one port, and the parent that starts, watches and stops them.

The parent answers no call. It owns what there is once: the port, the embedded Triton, the ready file. The kernel gives
each new connection to one of the processes, with which it stays.
"""

import asyncio
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from archrouter.app.listeners import check_can_listen, reserve_port
from archrouter.app.records import write_ready_file
from archrouter.app.wiring import build_embedded_triton, embedded_endpoints, endpoint_readers, load_engine_bundle
from archrouter.config import Settings, split_address
from archrouter.inference import guard
from archrouter.inference.embedded import EmbeddedTriton
from archrouter.inference.endpoint import EndpointSpec
from archrouter.inference.triton_supervisor import keep_running

RESTART_DELAY_S = 1.0
"""Between the unexpected end of a process and the start of its successor, so that one that cannot live costs little."""

TICKET_KEY_BYTES = 48

WORKER_MODULE = "archrouter.app.worker"

_EXPECTED_EXITS = (0, -signal.SIGTERM)
"""How a process ends that was told to: drained, or before it could listen to the signal."""

_log = structlog.get_logger(__name__)


class ServerProcesses:
    """One run of a service of several processes."""

    def __init__(self, settings: Settings, ready_file: Path | None) -> None:
        """Take the settings of the whole; nothing is started yet."""
        self._settings = settings
        self._ready_file = ready_file
        self._stop = asyncio.Event()
        self._has_failed = False
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._ready: set[int] = set()

    async def run(self) -> bool:
        """Serve until a signal, or the failure of what the service cannot do without; say whether all went well.

        Raises:
            BundleError: When there is no bundle that the settings need.
            OSError: When the address cannot be bound.
            ValueError: When the settings contradict each other.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        for name in (signal.SIGHUP, signal.SIGUSR1):  # the latter from a process that was asked by ReloadPolicySets
            loop.add_signal_handler(name, self._pass_on_reload)
        async with AsyncExitStack() as stack:
            check_can_listen(self._settings.server.listen, "server.listen")
            address = reserve_port(self._settings.server.listen, stack)
            self._share_ticket_key(stack)
            bundle = load_engine_bundle(self._settings)
            triton = build_embedded_triton(self._settings, bundle)
            if triton is not None:
                endpoints = embedded_endpoints(endpoint_readers(self._settings, bundle, triton), triton)
                stack.callback(triton.close)
                stack.push_async_callback(triton.stop)
                watch = asyncio.create_task(self._watch_triton(triton, endpoints), name="embedded Triton")
                stack.push_async_callback(_cancel, watch)
            async with asyncio.TaskGroup() as group:  # calls that are being answered at the end need the model
                for index in range(self._settings.server.processes):
                    settings = settings_of_process(self._settings, index, address, triton)
                    group.create_task(self._keep_process(index, settings, address), name=f"server process {index}")
                await self._stop.wait()
                _log.info("draining")
                for process in self._processes.values():
                    _send(process, signal.SIGTERM)
        _log.info("stopped")
        return not self._has_failed

    def _share_ticket_key(self, stack: AsyncExitStack) -> None:
        """Give the processes one key where the settings name none: each of them signs tickets that all accept."""
        if self._settings.routing.ticket_key_file:
            return
        file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="archrouter-"))) / "ticket-keys"
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(TICKET_KEY_BYTES) + "\n")
        routing = self._settings.routing.model_copy(update={"ticket_key_file": str(file)})
        self._settings = self._settings.model_copy(update={"routing": routing})

    async def _watch_triton(self, triton: EmbeddedTriton, endpoints: Sequence[EndpointSpec]) -> None:
        """Run what the service cannot do without."""
        try:
            await triton.start()
            _log.info(
                "embedded_triton_started", pid=triton.pid, endpoint=triton.endpoint, log_file=str(triton.log_file)
            )
            await keep_running(triton, endpoints, restart_delay_s=self._settings.embedded.restart_delay_s)
        except Exception as error:  # noqa: BLE001  # supervises a task
            _log.error("background_task_failed", task="embedded Triton", reason=str(error))
            self._fail()

    async def _keep_process(self, index: int, settings: Settings, address: str) -> None:
        """Run one process, and another in its place when it ends unasked."""
        while not self._stop.is_set():
            process = await _start(index, settings)
            self._processes[index] = process
            if self._stop.is_set():
                _send(process, signal.SIGTERM)
            await self._note_ready(index, process, address)
            exit_code = await process.wait()
            del self._processes[index]
            if self._stop.is_set():
                self._has_failed |= exit_code not in _EXPECTED_EXITS
                return
            _log.error("server_process_exited", server_process=index, exit_code=exit_code)
            if len(self._ready) < self._settings.server.processes:  # it cannot start: nobody would see it try for ever
                self._fail()
                return
            await first_of(self._stop.wait(), asyncio.sleep(RESTART_DELAY_S))

    async def _note_ready(self, index: int, process: asyncio.subprocess.Process, address: str) -> None:
        """Read the line that a process writes whenever it gets ready, until it ends."""
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        while await process.stdout.readline():
            if index in self._ready:
                continue
            self._ready.add(index)
            if len(self._ready) == self._settings.server.processes:
                _log.info("service_ready", address=address, server_process_count=len(self._ready))
                write_ready_file(self._ready_file, address)

    def _pass_on_reload(self) -> None:
        for index, process in self._processes.items():
            if index in self._ready:  # one that starts reads everything anyhow
                _send(process, signal.SIGHUP)

    def _fail(self) -> None:
        self._has_failed = True
        self._stop.set()


def settings_of_process(settings: Settings, index: int, address: str, triton: EmbeddedTriton | None) -> Settings:
    """Make the settings of one process, counted from 0: it serves alone, over the parent's Triton."""
    metrics = settings.metrics
    if metrics.listen:
        host, _, _ = metrics.listen.rpartition(":")
        _, port = split_address(metrics.listen)
        metrics = metrics.model_copy(update={"listen": f"{host}:{port and port + index}"})
    own = {"server": settings.server.model_copy(update={"processes": 1, "listen": address}), "metrics": metrics}
    if triton is None:
        return settings.model_copy(update=own)
    embedded = settings.embedded.model_copy(update={"enabled": False})
    endpoint = {"endpoint": triton.endpoint, "engine_model": settings.embedded.engine_model}
    return settings.model_copy(
        update={**own, "embedded": embedded, "triton": settings.triton.model_copy(update=endpoint)}
    )


async def _start(index: int, settings: Settings) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", guard.__file__, str(os.getpid())),
        *(sys.executable, "-m", WORKER_MODULE, str(index)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # a terminal's Ctrl-C reaches the parent, which then stops them in order
    )
    assert process.stdin is not None  # noqa: S101  # it is a pipe
    process.stdin.write(settings.model_dump_json().encode())
    process.stdin.close()
    return process


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        process.send_signal(number)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def first_of(*works: Coroutine[object, object, object]) -> None:
    """Wait until the first of several has ended, and cancel the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
