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
    """Make a parser with ``--json``, whose help ends with examples of arguments."""
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
    """Print what a program found, for machines as JSON or for people as text."""
    print(json.dumps(document, ensure_ascii=False, indent=1) if as_json else text)


def tracked(items: Iterable[_T], description: str, total: int) -> Iterable[_T]:
    """Show how far a loop is, on a terminal only and on stderr."""
    console = Console(stderr=True)
    return track(items, description, total=total, console=console, transient=True, disable=not sys.stderr.isatty())
