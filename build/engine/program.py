"""What the step programs have in common: parsers with examples, errors as exit codes, clean ends."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from archrouter.bundles.manifest import BundleError
from engine.errors import EXIT_BAD_INPUT, EXIT_DONE, EXIT_FAILED, PipelineError

_EXIT_TERMINATED = 128 + signal.SIGTERM
_EXIT_INTERRUPTED = 128 + signal.SIGINT


def make_parser(command: str, description: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Make a parser whose help ends with examples and exit codes.

    Args:
        command: Name of the command.
        description: What it does.
        examples: Arguments that make sense, without the program's name.

    Returns:
        The parser.
    """
    program = f"python -m engine {command}"
    lines = "\n".join(f"  {program} {example}" for example in examples)
    return argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=f"examples:\n{lines}\n\n"
        "exit codes: 0 done, 1 failed, 2 bad input, 3 this machine lacks what the step needs",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run_program(name: str, work: Callable[[], int | None]) -> int:
    """Run a step's work and turn what stops it into a message and an exit code.

    Args:
        name: Of the command, for the message.
        work: Returns an exit code, or None for 0.

    Returns:
        The exit code.
    """
    before = signal.signal(signal.SIGTERM, _exit_on_signal)  # unfinished folders are removed on the way out
    try:
        return work() or EXIT_DONE
    except PipelineError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except BundleError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except OSError as error:
        print(f"{name}: {error}; nothing half-written is left", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print(f"{name}: interrupted; the same command goes on from here", file=sys.stderr)
        return _EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit_on_signal(_number: int, _frame: FrameType | None) -> None:
    sys.exit(_EXIT_TERMINATED)
