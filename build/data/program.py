"""What the command lines here have in common."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

_T = TypeVar("_T")


def make_parser(command: str, description: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """Make a parser whose help ends with examples.

    Args:
        command: Name of the command.
        description: What it does; the first paragraph is enough.
        examples: Arguments that make sense, without the program's name.

    Returns:
        The parser, with ``--json``.
    """
    program = f"python -m data {command}"
    lines = "\n".join(f"  {program} {example}" for example in examples)
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=f"examples:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def print_result(document: object, text: str, *, as_json: bool) -> None:
    """Print what a program found.

    Args:
        document: For machines; what JSON can hold.
        text: The same for people.
        as_json: Which of them.
    """
    print(json.dumps(document, ensure_ascii=False, indent=1) if as_json else text)


def tracked(items: Iterable[_T], description: str, total: int) -> Iterable[_T]:
    """Show how far a loop is, on a terminal only and on stderr.

    Args:
        items: What is looped over.
        description: What is being done.
        total: How many there are.

    Returns:
        The items.
    """
    console = Console(stderr=True)
    return track(items, description, total=total, console=console, transient=True, disable=not sys.stderr.isatty())
