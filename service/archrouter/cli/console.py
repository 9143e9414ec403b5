"""Where commands write: results on standard output, everything else on standard error."""

import json

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

_WIDTH_WITHOUT_TERMINAL = 160  # a table in a file or a pipe is not cut to the 80 columns of a terminal nobody has


def print_json(document: object) -> None:
    """Write one JSON document on standard output.

    Args:
        document: Anything JSON knows.
    """
    click.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))


def print_table(table: Table) -> None:
    """Write a table on standard output, in colour on a terminal.

    Args:
        table: Its cells are taken literally, whatever markup a conversation may hold.
    """
    _console(stderr=False).print(table)


def note(message: str) -> None:
    """Write a line for people on standard error.

    Args:
        message: The line.
    """
    click.echo(message, err=True)


def progress() -> Progress:
    """Make a progress display on standard error.

    Returns:
        It shows nothing where standard error is no terminal.
    """
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


def shortened(text: str, characters: int) -> str:
    """Fit text into one line.

    Args:
        text: Any text.
        characters: Most characters the result may have, >= 1.

    Returns:
        The text with every run of white space as one space, cut at the end where it is too long.
    """
    line = " ".join(text.split())
    return line if len(line) <= characters else f"{line[: characters - 1]}…"


def percent(share: float | None) -> str:
    """Write a share as people do.

    Args:
        share: In [0, 1]; None where there is none.

    Returns:
        E.g. ``93.2 %``, or a dash.
    """
    return "–" if share is None else f"{100 * share:.1f} %"  # noqa: RUF001  # a dash, not a minus


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console
