"""What the commands have in common: errors with exit codes, parsers with examples, clean ends."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from archrouter.bundles.manifest import BundleError
from archrouter.evaluation.dataset import DatasetError

EXITS = "exit codes: 0 done, 1 failed, 2 bad input, 3 this machine lacks what the step needs"
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


def make_parser(program: str, description: str, examples: Sequence[str], exits: str = EXITS) -> argparse.ArgumentParser:
    """Make a parser whose help ends with examples and exit codes."""
    lines = "\n".join(f"  python -m {program} {example}" for example in examples)
    return argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=description,
        epilog=f"examples:\n{lines}\n\n{exits}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run_program(name: str, work: Callable[[], int | None], os_error_code: int = PipelineError.exit_code) -> int:
    """Run a command's work and turn what stops it into a message and an exit code."""
    before = signal.signal(signal.SIGTERM, _exit_on_signal)  # unfinished folders are removed on the way out
    try:
        return work() or 0
    except PipelineError as error:
        message, code = str(error), error.exit_code
    except (BundleError, DatasetError) as error:
        message, code = str(error), BadInputError.exit_code
    except OSError as error:
        message, code = f"{error}; nothing half-written is left", os_error_code
    except KeyboardInterrupt:
        message, code = "interrupted; the same command goes on from here", _EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"{name}: {message}", file=sys.stderr)
    return code


def _exit_on_signal(_number: int, _frame: FrameType | None) -> None:
    sys.exit(_EXIT_TERMINATED)
