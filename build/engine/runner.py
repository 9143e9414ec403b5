"""Runs other programs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from archrouter.inference import guard

_NOT_FOUND = 127


class Runner(Protocol):
    """What starts programs; tests record instead."""

    def has(self, program: str) -> bool:
        """Say whether a program, or a script given by its path, is there."""

    def capture(self, command: Sequence[str]) -> str | None:
        """Return what a short command prints; None when it is missing or fails."""

    def run(self, command: Sequence[str], on_line: Callable[[str], None]) -> int:
        """Run a command to its end.

        Args:
            command: Program and arguments.
            on_line: Told each line of its output, both streams together.

        Returns:
            Its exit code; 127 when there is no such program.
        """


class SystemRunner:
    """Runs them on this machine; none outlives this process."""

    def __init__(self, *, is_foreign: bool = False) -> None:
        """Choose what the programs inherit.

        Args:
            is_foreign: Whether they are not this project's, so that its Python path is kept from them.
        """
        kept = {name: value for name, value in os.environ.items() if not (is_foreign and name == "PYTHONPATH")}
        self._environment = {**kept, "PYTHONUNBUFFERED": "1"}

    def has(self, program: str) -> bool:
        """See `Runner.has`."""
        return Path(program).is_file() if program.startswith("/") else shutil.which(program) is not None

    def capture(self, command: Sequence[str]) -> str | None:
        """See `Runner.capture`."""
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return None
        return result.stdout if result.returncode == 0 else None

    def run(self, command: Sequence[str], on_line: Callable[[str], None]) -> int:
        """See `Runner.run`."""
        program = shutil.which(command[0])
        if program is None:
            on_line(f"{command[0]} is not on the path")
            return _NOT_FOUND
        with subprocess.Popen(
            [sys.executable, "-I", guard.__file__, str(os.getpid()), program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._environment,
        ) as process:
            try:
                for line in process.stdout or ():
                    on_line(line.rstrip("\n"))
            except BaseException:
                process.terminate()
                raise
        return process.returncode
