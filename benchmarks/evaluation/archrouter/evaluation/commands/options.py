"""The options of ``archrouter eval`` besides those of the service: what is run, and what is written."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from archrouter.cli.connection import Command
from archrouter.evaluation.variants import DEFAULT_SEED, ROUTE_COUNTS, Perturbation
from archrouter.suites.calls import DEFAULT_CONCURRENCY


def split_names(text: str) -> tuple[str, ...]:
    """Read the value of an option that takes several names: separated by commas, each once."""
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What is run.

    Attributes:
        settings: Settings to run; empty for all.
        limit: Conversations of each setting at most; None for all.
        concurrency: Calls in flight.
        perturbations: The robustness runs.
        seed: Of the robustness runs.
        journal: File to resume from and to continue; None for none.
    """

    settings: frozenset[str]
    limit: int | None
    concurrency: int
    perturbations: tuple[Perturbation, ...]
    seed: int
    journal: Path | None


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What is written.

    Attributes:
        predictions: Predictions as JSON Lines; None for none.
        summary: Figures as a JSON document; None for none.
        html: The report as an HTML page; None for none.
        as_json: Whether standard output gets the JSON document in place of tables.
    """

    predictions: Path | None
    summary: Path | None
    html: Path | None
    as_json: bool


def run_options(command: Command) -> Command:
    """Add the options that say what is run; the command gets `RunOptions` as ``run``."""

    # Any: see Command.
    @functools.wraps(command)
    def with_run(
        *arguments: Any,  # noqa: ANN401
        settings: str,
        limit: int | None,
        concurrency: int,
        robustness: str,
        seed: int,
        journal: Path | None,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        known = {perturbation.value: perturbation for perturbation in Perturbation}
        unknown = [name for name in split_names(robustness) if name not in known]
        if unknown:
            msg = f"--robustness: {', '.join(unknown)} is unknown; there are {', '.join(known)}"
            raise click.UsageError(msg)
        perturbations = tuple(known[name] for name in split_names(robustness))
        run = RunOptions(frozenset(split_names(settings)), limit, concurrency, perturbations, seed, journal)
        return command(*arguments, run=run, **options)

    return _with_flags(with_run, _run_flags())


def output_options(command: Command) -> Command:
    """Add the options that say what is written; the command gets `OutputOptions` as ``output``."""

    # Any: see Command.
    @functools.wraps(command)
    def with_output(
        *arguments: Any,  # noqa: ANN401
        predictions: Path | None,
        summary: Path | None,
        report: Path | None,
        as_json: bool,
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        output = OutputOptions(predictions, summary, report, as_json)
        return command(*arguments, output=output, **options)

    return _with_flags(with_output, _output_flags())


_Flag = Callable[[Command], Command]


def _run_flags() -> tuple[_Flag, ...]:
    names = ",".join(perturbation.value for perturbation in Perturbation)
    counts = ", ".join(map(str, ROUTE_COUNTS))
    return (
        click.option("--settings", default="", metavar="A,B", help="Settings to run; all otherwise."),
        click.option("--limit", type=click.IntRange(min=1), help="Conversations of each setting, for a quick look."),
        click.option("--concurrency", type=click.IntRange(min=1), default=DEFAULT_CONCURRENCY, show_default=True),
        click.option(
            "--robustness",
            default="",
            metavar="A,B",
            help=f"Run again under harder conditions: {names}; the last with {counts} routes.",
        ),
        click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Of the robustness runs."),
        _file_option(
            "--resume", "journal", "Write each decision to this file at once, and take those it has from there."
        ),
    )


def _output_flags() -> tuple[_Flag, ...]:
    return (
        _file_option("--predictions", "predictions", "Write each prediction as a JSON line."),
        _file_option("--summary", "summary", "Write the figures as a JSON document."),
        _file_option("--report", "report", "Write the figures as one HTML page, with charts."),
        click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON document."),
    )


def _file_option(flag: str, name: str, text: str) -> _Flag:
    return click.option(
        flag,
        name,
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        callback=_in_existing_folder,
        help=text,
    )


def _in_existing_folder(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """Find out at the beginning that a file cannot be written, not after an hour."""
    if path is not None and not path.parent.is_dir():
        msg = f"there is no folder {path.parent}; create it first"
        raise click.BadParameter(msg)
    return path


def _with_flags(command: Command, flags: tuple[_Flag, ...]) -> Command:
    for flag in reversed(flags):
        command = flag(command)
    return command
