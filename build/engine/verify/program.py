"""What the command lines that talk to a served engine have in common."""

import argparse
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from archrouter.bundles.builder import REFERENCE_MODEL
from archrouter.bundles.loader import PromptBundle
from archrouter.cli import console
from archrouter.config import EmbeddedSettings
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.installation import EmbeddedTritonError
from archrouter.inference.tensors import PARAMETER_MODEL_DIRECTORY, PARAMETER_MODEL_VERSION
from engine.verify.report import CannotRunError

ENGINE_MODEL = "tensorrt_llm"
_START_TIMEOUT_S = 300.0


class Exit(IntEnum):
    """Exit status."""

    PASSED = 0
    MISSED = 1
    USAGE = 2
    COULD_NOT_RUN = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where to call."""

    endpoint: str
    model: str


EXIT_HELP = "exit status: 0 passed, 1 a threshold missed, 2 wrong command line or files, 3 could not run"


def make_parser(program: str, description: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Make a parser for a program that asks a served engine."""
    lines = "\n".join(f"  python -m {program} {example}" for example in examples)
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=description,
        epilog=f"examples (with PYTHONPATH=build):\n{lines}\n\n{EXIT_HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--endpoint", metavar="HOST:PORT", help="gRPC of the Triton that serves it")
    place.add_argument(
        "--embedded", action="store_true", help=f"serve the bundle by {REFERENCE_MODEL} on this CPU, for this run only"
    )
    parser.add_argument(
        "--model", help=f"its name there (default: {ENGINE_MODEL}, with --embedded always {REFERENCE_MODEL})"
    )
    parser.add_argument("--bundle", required=True, type=Path, metavar="DIR", help="the bundle it should belong to")
    parser.add_argument(
        "--call-timeout-s", type=in_range(0.001, 3600), default=60.0, help="longest wait for a call (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def in_range(low: float, high: float) -> Callable[[str], float]:
    """Make a type of argument: a number in [low, high]."""

    def number(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            msg = f"{text} is outside [{low:g}, {high:g}]"
            raise argparse.ArgumentTypeError(msg)
        return value

    return number


def at_least(low: int) -> Callable[[str], int]:
    """Make a type of argument: a whole number from ``low`` on."""
    check = in_range(low, math.inf)
    return lambda text: int(check(str(int(text))))


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show on a terminal, on stderr, what is being done."""
    with console.progress() as display:
        task = display.add_task("", total=None)

        def tell(doing: str, done: int, total: int) -> None:
            display.update(task, description=doing, completed=done, total=total or None)

        yield tell


def fail(program: str, message: object, status: Exit) -> int:
    """Say on stderr why a program ends."""
    print(f"{program}: {message}", file=sys.stderr)
    return int(status)


@asynccontextmanager
async def place_of(options: argparse.Namespace, bundle: PromptBundle) -> AsyncIterator[Place]:
    """Find the engine that a command line names, or start it."""
    if not options.embedded:
        yield Place(options.endpoint, options.model or ENGINE_MODEL)
        return
    parameters = {
        PARAMETER_MODEL_DIRECTORY: str(bundle.model_directory.resolve()),
        PARAMETER_MODEL_VERSION: bundle.profile.model_version,
    }
    repository = Path(EmbeddedSettings().model_repository)
    triton = EmbeddedTriton(repository, (EmbeddedModel(REFERENCE_MODEL, parameters),), _START_TIMEOUT_S)
    try:
        await triton.start()
    except EmbeddedTritonError as error:
        raise CannotRunError(str(error)) from error
    try:
        yield Place(triton.endpoint, REFERENCE_MODEL)
    finally:
        await triton.stop()
        triton.close()
