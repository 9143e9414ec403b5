"""Running programs: their output line by line, their exit code, and nothing of ours inside foreign ones."""

import sys

import pytest
from engine.runner import Runner, SystemRunner

PRINT_PATH = "import os; print(os.environ.get('PYTHONPATH', 'none'))"


def lines_of(runner: Runner, *command: str) -> tuple[int, list[str]]:
    """Run a command and keep what it prints."""
    lines: list[str] = []
    return runner.run(command, lines.append), lines


def test_both_streams_come_line_by_line_with_the_exit_code() -> None:
    """The end of the output tells why a step failed."""
    program = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(7)"

    assert (7, ["one", "two"]) == lines_of(SystemRunner(), sys.executable, "-c", program)


def test_a_program_that_is_not_there_is_said() -> None:
    """As a shell does: 127."""
    assert (127, ["no-such-program is not on the path"]) == lines_of(SystemRunner(), "no-such-program")


def test_foreign_programs_do_not_see_our_python_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image's Python must not import packages of this project by accident."""
    monkeypatch.setenv("PYTHONPATH", "build")

    assert (0, ["build"]) == lines_of(SystemRunner(), sys.executable, "-c", PRINT_PATH)
    assert (0, ["none"]) == lines_of(SystemRunner(is_foreign=True), sys.executable, "-c", PRINT_PATH)


def test_short_commands_are_captured_or_nothing() -> None:
    """A program that is missing or fails has nothing to say."""
    runner = SystemRunner()

    assert "1\n" == runner.capture([sys.executable, "-c", "print(1)"])
    assert runner.capture([sys.executable, "-c", "raise SystemExit(1)"]) is None
    assert runner.capture(["no-such-program"]) is None


def test_scripts_are_looked_up_by_path_and_programs_on_the_path() -> None:
    """The image's scripts have absolute paths, its compiler is a program."""
    runner = SystemRunner()

    assert [True, True, False, False] == [
        runner.has(name) for name in (__file__, "sh", "/no/such/script.py", "no-such-program")
    ]
