"""A real Triton Inference Server as a child process: the one that ships inside the ``nvidia-pytriton`` wheel."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from archrouter.inference import guard
from archrouter.inference.installation import (
    EmbeddedTritonError,
    TritonInstallation,
    assemble_backend,
    environment,
)
from archrouter.inference.triton_client import TritonClient

LOG_TAIL_LINES = 40
_POLL_INTERVAL_S = 0.05
_EXIT_TIMEOUT_S = 5
_REAP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class EmbeddedModel:
    """A model to load.

    Attributes:
        name: Its folder in the model repository.
        parameters: Values for `parameters` of its config.pbtxt, in place of those in the file.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class EmbeddedTriton:
    """Starts, watches and stops one Triton. Its port is its own from `reserve` to `close`, over restarts as well.

    Attributes:
        model_repository: Folder of models.
        models: The models to load from it.
        start_timeout_s: Time to become ready, in seconds.
    """

    model_repository: Path
    models: tuple[EmbeddedModel, ...]
    start_timeout_s: float
    run_directory: Path = field(init=False)
    _reservation: socket.socket | None = field(init=False, default=None)
    _is_assembled: bool = field(init=False, default=False)
    _process: asyncio.subprocess.Process | None = field(init=False, default=None)

    def reserve(self) -> None:
        """Take a free port and keep everybody else from it, so that clients can be built before the server starts.

        The socket is bound, but does not listen: connections reach Triton alone, which shares the port with it.
        """
        if self._reservation is None:
            self._reservation = socket.socket()
            self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._reservation.bind(("127.0.0.1", 0))

    @property
    def endpoint(self) -> str:
        """HOST:PORT of its gRPC, on the loopback interface; known once it is reserved."""
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """Process id of the running server; None when there is none."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    @property
    def log_file(self) -> Path:
        """Where Triton's log goes."""
        return self.run_directory / "triton.log"

    async def start(self) -> None:
        """Start the server, on a port that is reserved if need be, and wait until every model is ready.

        Raises:
            EmbeddedTritonError: With the tail of Triton's log, when it ends or takes too long.
        """
        installation = TritonInstallation.find()
        self._check_repository()
        self.reserve()
        if not self._is_assembled:
            self.run_directory = Path(tempfile.mkdtemp(prefix="archrouter-triton-"))
            self._is_assembled = True
            assemble_backend(installation, self._backend_directory)
            for model in self.models:
                _assemble_model(self.model_repository / model.name, model, self._repository_view)
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",  # it needs no installed package, and looking for them takes time
                guard.__file__,
                str(os.getpid()),
                *self._command(installation),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(installation, os.environ),
                start_new_session=True,  # a terminal's Ctrl-C reaches the service, which then stops Triton in order
            )
        try:
            async with asyncio.timeout(self.start_timeout_s):
                await self._wait_until_ready(self._process)
        except TimeoutError:
            await self.stop()
            msg = f"Triton was not ready within {self.start_timeout_s:g} s; raise embedded.start_timeout_s"
            raise EmbeddedTritonError(self._with_log(msg)) from None
        except BaseException:
            await self.stop()
            raise

    async def wait_exit(self) -> int:
        """Wait for the server to end by itself; return its exit code, negative for a signal."""
        if self._process is None:
            msg = "the embedded Triton has not been started"
            raise EmbeddedTritonError(msg)
        code = await self._process.wait()
        await self._reap(self._process)
        return code

    def kill(self) -> None:
        """End the server at once, with everything it started; `wait_exit` tells when it is gone."""
        if self.pid is not None:
            os.killpg(self.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Stop the server and everything it started; does nothing when it is not running."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _EXIT_TIMEOUT_S + 1)
        await self._reap(process)
        await process.wait()
        self._process = None

    def close(self) -> None:
        """Give the port back and remove the run directory with Triton's log; the server has been stopped."""
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None
        if self._is_assembled:
            shutil.rmtree(self.run_directory, ignore_errors=True)

    def log_tail(self) -> str:
        """Return the last lines of Triton's log."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    @property
    def _port(self) -> int:
        if self._reservation is None:
            msg = "the embedded Triton has no port yet; reserve one or start it"
            raise EmbeddedTritonError(msg)
        return int(self._reservation.getsockname()[1])

    @property
    def _backend_directory(self) -> Path:
        return self.run_directory / "backends"

    @property
    def _repository_view(self) -> Path:
        return self.run_directory / "models"

    @property
    def _shm_prefix(self) -> str:
        return f"archrouter_{self._port}_{os.getpid()}_"

    def _check_repository(self) -> None:
        for model in self.models:
            config = self.model_repository / model.name / "config.pbtxt"
            if not config.is_file():
                msg = (
                    f"no model {model.name!r} in {self.model_repository} ({config} is missing); "
                    "set embedded.model_repository"
                )
                raise EmbeddedTritonError(msg)

    def _command(self, installation: TritonInstallation) -> list[str]:
        return [
            str(installation.server),
            f"--model-repository={self._repository_view}",
            "--model-control-mode=explicit",
            *(f"--load-model={model.name}" for model in self.models),
            "--disable-auto-complete-config",
            f"--backend-directory={self._backend_directory}",
            f"--backend-config=python,shm-region-prefix-name={self._shm_prefix}",
            "--grpc-address=127.0.0.1",
            f"--grpc-port={self._port}",
            "--reuse-grpc-port=true",  # with the reservation
            "--allow-http=false",
            "--allow-metrics=false",
            f"--exit-timeout-secs={_EXIT_TIMEOUT_S}",
        ]

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        connection = TritonClient(self.endpoint, max_concurrent_requests=1)
        try:
            for model in self.models:
                while not await connection.is_model_ready(model.name, timeout_s=1.0):
                    if process.returncode is not None:
                        msg = f"Triton ended with exit code {process.returncode} before it was ready"
                        raise EmbeddedTritonError(self._with_log(msg))
                    await asyncio.sleep(_POLL_INTERVAL_S)
                    await connection.reconnect()  # or gRPC would wait up to a second between its own attempts
        finally:
            await connection.close()

    async def _reap(self, process: asyncio.subprocess.Process) -> None:
        """End what the server leaves behind when it is killed: Python stubs and shared memory."""
        with contextlib.suppress(TimeoutError, ProcessLookupError):
            async with asyncio.timeout(_REAP_TIMEOUT_S):
                os.killpg(process.pid, signal.SIGKILL)
                while _is_running(process.pid):  # noqa: ASYNC110  # other processes
                    await asyncio.sleep(_POLL_INTERVAL_S)
        self._remove_shared_memory()

    def _remove_shared_memory(self) -> None:
        for region in Path("/dev/shm").glob(f"{self._shm_prefix}*"):  # noqa: S108  # Triton puts them there
            region.unlink(missing_ok=True)

    def _with_log(self, message: str) -> str:
        tail = self.log_tail()
        hint = ""
        if "libpython" in tail:
            hint = (
                "\nThis Python has no shared library; use one built with --enable-shared, "
                "e.g. the distribution's libpython package."
            )
        return f"{message}; its log ({self.log_file}) ends with:\n{tail}{hint}"


def _is_running(process_group: int) -> bool:
    """Say whether a process of the group still runs; one that has ended may stand in the table for seconds more."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended while we looked
            state, _, group, *_ = status.read_text(errors="replace").rpartition(")")[2].split()
            if int(group) == process_group and state not in "ZX":
                return True
    return False


def _assemble_model(source: Path, model: EmbeddedModel, repository: Path) -> None:
    """Put a view of the model into a repository of this server's own: its versions, and its config with our values."""
    config = text_format.Parse((source / "config.pbtxt").read_text(), ModelConfig())
    for key, value in model.parameters.items():
        config.parameters[key].string_value = value
    view = repository / model.name
    view.mkdir(parents=True)
    (view / "config.pbtxt").write_text(text_format.MessageToString(config))
    for version in source.iterdir():
        if version.name.isdigit():
            (view / version.name).symlink_to(version.resolve())
