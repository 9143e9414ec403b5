"""What the commands have in common: errors with exit codes, parsers with examples, clean ends."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from archrouter.bundles.manifest import BundleError

_EXIT_TERMINATED = 128 + signal.SIGTERM
_EXIT_INTERRUPTED = 128 + signal.SIGINT


class PipelineError(Exception):
    """Root of the errors of a build; the text says what happened and what to do."""

    exit_code = 1


class BadInputError(PipelineError):
    """Something given to a step is not what it should be."""

    exit_code = 2


class NeedsMoreError(PipelineError):
    """This machine lacks what the step needs: the image, a GPU, a running server."""

    exit_code = 3


class StepFailedError(PipelineError):
    """A tool ended with an error, or its output is not what it should be."""


def make_parser(command: str, description: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Make a parser whose help ends with examples and exit codes."""
    program = f"python -m engine {command}"
    lines = "\n".join(f"  {program} {example}" for example in examples)
    return argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=f"examples:\n{lines}\n\n"
        "exit codes: 0 done, 1 failed, 2 bad input, 3 this machine lacks what the step needs",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run_program(name: str, work: Callable[[], None]) -> int:
    """Run a command's work and turn what stops it into a message and an exit code."""
    before = signal.signal(signal.SIGTERM, _exit_on_signal)  # unfinished folders are removed on the way out
    try:
        work()
    except PipelineError as error:
        return _fail(name, error, error.exit_code)
    except BundleError as error:
        return _fail(name, error, BadInputError.exit_code)
    except OSError as error:
        return _fail(name, f"{error}; nothing half-written is left", PipelineError.exit_code)
    except KeyboardInterrupt:
        return _fail(name, "interrupted; the same command goes on from here", _EXIT_INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _fail(name: str, message: object, code: int) -> int:
    print(f"{name}: {message}", file=sys.stderr)
    return code


def _exit_on_signal(_number: int, _frame: FrameType | None) -> None:
    sys.exit(_EXIT_TERMINATED)
