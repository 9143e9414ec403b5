"""Runs the steps of a build in order, each once: what is unchanged since its last run is not run again."""

import fcntl
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import BadInputError, NeedsMoreError, PipelineError, StepFailedError
from engine.fetch import is_hub_id
from engine.image import DOCKER
from engine.request import BuildRequest
from engine.runner import Runner
from engine.sizes import megabytes
from engine.state import StepState, digest_of_mapping, digest_of_path, fingerprint, is_whole, read_state, write_state
from engine.steps import Place, Step, steps_of
from engine.toolchain import serve_line

_TAIL_LINES = 30
_EXIT_ERRORS: dict[int, type[PipelineError]] = {2: BadInputError, 3: NeedsMoreError}


class Progress:
    """What is told of a build; silent here."""

    def started(self, step: Step) -> None:
        """Tell that a step runs now."""

    def line(self, step: Step, text: str) -> None:
        """Pass on a line of its output."""

    def finished(self, step: Step, state: StepState, *, is_new: bool) -> None:
        """Tell that its output is there, made now or before."""


@dataclass(frozen=True, slots=True)
class Driver:
    """Runs builds.

    Attributes:
        request: What to build.
        runner: Starts programs.
        progress: Told what happens.
        is_served: Asks whether HOST:PORT serves a model.
        is_container: Whether steps in the image get a container of their own.
    """

    request: BuildRequest
    runner: Runner
    progress: Progress
    is_served: Callable[[str, str], bool]
    is_container: bool

    def run(self, until: str | None) -> tuple[Step, ...]:
        """Run the steps that are not done.

        Args:
            until: Name of the last step to run; None runs all.

        Returns:
            The steps that were not asked for.

        Raises:
            PipelineError: When a step fails, or needs what this machine lacks; what is done stays done.
        """
        with _workspace(self.request.workspace):
            states: dict[str, StepState] = {}
            position = 0
            steps = steps_of(self.request, None)
            names = [step.name for step in steps]
            if until is not None and until not in names:
                msg = f"there is no step {until!r} in this build; it has {', '.join(names)}"
                raise BadInputError(msg)
            while position < len(steps):
                step = steps[position]
                states[step.name] = self._bring(step, states)
                position += 1
                if step.name == "fetch":
                    steps = steps_of(self.request, self.request.inspect())  # the checkpoint's sizes are known now
                if step.name == until:
                    break
            return steps[position:]

    def _bring(self, step: Step, states: dict[str, StepState]) -> StepState:
        """Return the state of a step, running it when it is not done."""
        path = self.request.workspace / f"{step.name}.state.json"
        key = self._key(step, states)
        state = read_state(path)
        if state is not None and state.key == key and is_whole(path, state):
            self.progress.finished(step, state, is_new=False)
            return state
        self._require(step)
        _remove(path)
        _remove(step.output)
        self.progress.started(step)
        started_s = time.monotonic()
        self._run(step)
        state = write_state(path, step.name, key, step.output, time.monotonic() - started_s)
        self.progress.finished(step, state, is_new=True)
        return state

    def _key(self, step: Step, states: dict[str, StepState]) -> str:
        content: dict[str, object] = {
            "command": step.command,
            "tool": step.tool,
            "reads": {name: states[name].digest for name in step.reads},
            "inputs": {str(path): digest_of_path(path) for path in step.inputs},
        }
        if step.name == "fetch" and not is_hub_id(self.request.source):
            # Hashing the weights is the step's own work; whether it must be done again is seen without reading them.
            content["files"] = fingerprint(Path(self.request.source))
        return digest_of_mapping(content)

    def _require(self, step: Step) -> None:
        """Refuse a step that cannot end well: too little disk, or no server to ask."""
        free = shutil.disk_usage(self.request.workspace).free
        if step.byte_count is not None and free < step.byte_count:
            msg = (
                f"{step.name} writes about {megabytes(step.byte_count)}, {megabytes(free)} are free in "
                f"{self.request.workspace}; free some, or name another --workspace"
            )
            raise StepFailedError(msg)
        request = self.request
        if step.place is Place.SERVED and not self.is_served(request.endpoint, request.model):
            msg = (
                f"{step.name} needs the engine to be served: no model {request.model} is ready at {request.endpoint}. "
                "Serve it, on the GPU model that built it, and repeat:\n"
                f"  {serve_line(request.toolkit, request.settings.container, request.folder('assemble'))}"
            )
            raise NeedsMoreError(msg)

    def _run(self, step: Step) -> None:
        command = (sys.executable, *step.command[1:])
        if step.place is Place.IMAGE and self.is_container:
            command += ("--container", DOCKER)
        log = self.request.workspace / "logs" / f"{step.name}.log"
        log.parent.mkdir(exist_ok=True)
        tail: list[str] = []
        with log.open("w", encoding="utf-8") as file:

            def on_line(line: str) -> None:
                file.write(line + "\n")
                file.flush()
                tail.append(line)
                del tail[:-_TAIL_LINES]
                self.progress.line(step, line)

            code = self.runner.run(command, on_line)
        if code:
            output = "\n".join(tail)
            msg = f"step {step.name} ended with exit code {code} ({log}):\n{output}"
            raise _EXIT_ERRORS.get(code, StepFailedError)(msg)


@contextmanager
def _workspace(folder: Path) -> Iterator[None]:
    """Hold the workspace for one build at a time, and clear what a killed one left half-written."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"another build runs in {folder}; wait for it, or name another --workspace"
            raise StepFailedError(msg) from None
        for scratch in folder.glob(".*-*"):
            _remove(scratch)
        yield


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
