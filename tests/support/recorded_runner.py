"""A command runner that records instead of running."""

from collections.abc import Callable, Mapping, Sequence


class RecordedRunner:
    """Keeps every command, and does what the test says instead."""

    def __init__(
        self,
        programs: frozenset[str] = frozenset(),
        captures: Mapping[str, str] | None = None,
        run: Callable[[Sequence[str], Callable[[str], None]], int] = lambda _command, _on_line: 0,
    ) -> None:
        """Set the stage.

        Args:
            programs: Those that are there.
            captures: By program, what it prints.
            run: Stands for running a command.
        """
        self.commands: list[tuple[str, ...]] = []
        self._programs = programs
        self._captures = captures or {}
        self._run = run

    def has(self, program: str) -> bool:
        """See `engine.runner.Runner.has`."""
        return program in self._programs

    def capture(self, command: Sequence[str]) -> str | None:
        """See `engine.runner.Runner.capture`."""
        return self._captures.get(command[0])

    def run(self, command: Sequence[str], on_line: Callable[[str], None]) -> int:
        """See `engine.runner.Runner.run`."""
        self.commands.append(tuple(command))
        return self._run(command, on_line)
