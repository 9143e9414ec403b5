"""Where commands write: results on standard output, everything else on standard error."""

import json

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

_WIDTH_WITHOUT_TERMINAL = 160  # a table in a file or a pipe is not cut to the 80 columns of a terminal


def print_json(document: object) -> None:
    """Write one JSON document on standard output."""
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))


def print_table(table: Table) -> None:
    """Write a table on standard output, in colour on a terminal, its cells literally, whatever markup they hold."""
    _console(stderr=False).print(table)


def print_notes_table(table: Table) -> None:
    """Write a table that is no result, such as a report beside one, on standard error."""
    if table.row_count:
        _console(stderr=True).print(table)


def note(message: str) -> None:
    """Write a line for people on standard error."""
    click.echo(message, err=True)


def progress() -> Progress:
    """Make a progress display on standard error; it shows nothing where that is no terminal."""
    console = _console(stderr=True)
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console
