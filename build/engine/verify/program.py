"""What the command lines that ask an endpoint have in common."""

import argparse
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from archrouter.bundles.builder import REFERENCE_MODEL
from archrouter.bundles.loader import PromptBundle
from archrouter.cli import console
from archrouter.config import EmbeddedSettings
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.installation import EmbeddedTritonError
from archrouter.inference.tensors import PARAMETER_MODEL_DIRECTORY, PARAMETER_MODEL_VERSION
from archrouter.inference.triton_client import TritonClient
from engine import program
from engine.assemble import MODEL
from engine.program import NeedsMoreError

_EXITS = (
    "run with PYTHONPATH=build; exit status: 0 passed, 1 a threshold missed, 2 wrong command line or files, "
    "3 could not run"
)
_START_TIMEOUT_S = 300.0

Tell = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and of how much."""


class Report(Protocol):
    """What a program found."""

    def document(self) -> dict[str, object]:
        """Return what JSON can hold."""

    def markdown(self) -> str:
        """Return text for people."""

    def write(self, directory: Path) -> None:
        """Write both forms."""


R = TypeVar("R", bound=Report)


def make_parser(name: str, description: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Make a parser for a program that asks an endpoint."""
    parser = program.make_parser(name, description, examples, _EXITS)
    add, either = parser.add_argument, parser.add_mutually_exclusive_group(required=True).add_argument
    either("--endpoint", metavar="HOST:PORT", help="gRPC of the Triton that serves it")
    either("--embedded", action="store_true", help=f"serve it by {REFERENCE_MODEL} on this CPU, for this run only")
    add("--model", help=f"its name there (default: {MODEL}, with --embedded always {REFERENCE_MODEL})")
    add("--bundle", required=True, type=Path, metavar="DIR", help="the bundle it should belong to")
    add("--call-timeout-s", type=in_range(0.001, 3600), default=60.0, help="longest wait for a call (%(default)s)")
    add("--output", type=Path, metavar="DIR", help="also write a report there, for machines and for people")
    add("--json", action="store_true", help="print one JSON document instead of text")
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


def run(
    name: str, options: argparse.Namespace, work: Callable[[argparse.Namespace, Tell], R], end: Callable[[R], int]
) -> int:
    """Work with the progress shown on a terminal, write and print the report, and return the exit code of its end."""

    def whole() -> int:
        with console.progress() as display:
            task = display.add_task("", total=None)

            def tell(doing: str, done: int, total: int) -> None:
                display.update(task, description=doing, completed=done, total=total or None)

            report = work(options, tell)
        if options.output:
            report.write(options.output)
        code = end(report)
        document = report.document()
        print(json.dumps(document, ensure_ascii=False, indent=1) if options.json else report.markdown())
        return code

    return program.run_program(name, whole, os_error_code=NeedsMoreError.exit_code)


@asynccontextmanager
async def connected(
    options: argparse.Namespace, bundle: PromptBundle, call_count: int
) -> AsyncIterator[tuple[TritonClient, str]]:
    """Connect to the Triton that a command line names, or to one of its own; give its model's name, too."""
    async with AsyncExitStack() as stack:
        address, model = options.endpoint, options.model or MODEL
        if options.embedded:
            model = REFERENCE_MODEL
            parameters = {
                PARAMETER_MODEL_DIRECTORY: str(bundle.model_directory.resolve()),
                PARAMETER_MODEL_VERSION: bundle.profile.model_version,
            }
            repository = Path(EmbeddedSettings().model_repository)
            triton = EmbeddedTriton(repository, (EmbeddedModel(model, parameters),), _START_TIMEOUT_S)
            try:
                await triton.start()
            except EmbeddedTritonError as error:
                raise NeedsMoreError(str(error)) from error
            stack.callback(triton.close)
            stack.push_async_callback(triton.stop)
            address = triton.endpoint
        connection = TritonClient(address, max_concurrent_requests=call_count)
        stack.push_async_callback(connection.close)
        yield connection, model
