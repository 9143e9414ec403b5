"""Command line of the benchmark of scoring against generating."""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from enum import Enum
from itertools import product
from pathlib import Path

from benchmarks.scoring import report
from benchmarks.scoring.agreement import ROUTE_COUNTS, compare
from benchmarks.scoring.engine import running_engine
from benchmarks.scoring.recipe import Recipe
from benchmarks.scoring.speed import Cell, CellBench, Plan
from benchmarks.scoring.workload import read_topics
from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from archrouter.bundles.loader import PromptBundle, load_bundle

_EXAMPLES = """\
examples:
  python -m benchmarks.scoring model                     make the model once (needs the extra `build`)
  python -m benchmarks.scoring speed --routes 15 --turns 4
  python -m benchmarks.scoring speed --json times.json   the whole grid; again after an interruption: the rest of it
  python -m benchmarks.scoring picture times.json times.svg
  python -m benchmarks.scoring agreement --prompts 500
  python -m benchmarks.scoring agreement --bundle bundles/arch-router --routes 5 15
"""
_ROUTE_COUNTS = (5, 15, 50, 150)
_TURN_COUNTS = (1, 4, 12)
_CELLS = TypeAdapter(list[Cell])


def main() -> None:
    """Do what the command line says."""
    arguments = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 200)
    if arguments.command == "picture":
        from benchmarks.scoring.picture import draw  # noqa: PLC0415  # matplotlib is in the extra `build` only

        draw(arguments.results, arguments.picture)
        return
    bundle = load_bundle(arguments.bundle) if arguments.bundle else _bundle(Recipe(), console)
    if arguments.command == "speed":
        asyncio.run(_speed(bundle, arguments, console))
    elif arguments.command == "agreement":
        asyncio.run(_agreement(bundle, arguments, console))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scoring",
        description="What one routing decision costs: scoring the candidates against generating an answer.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    model = commands.add_parser("model", help="make the model and its bundle, unless they are in the cache")
    model.set_defaults(bundle=None)
    speed = commands.add_parser("speed", help="time both ways over a grid of routes and turns")
    speed.add_argument("--routes", type=int, nargs="+", default=_ROUTE_COUNTS, help="numbers of routes (%(default)s)")
    speed.add_argument("--turns", type=int, nargs="+", default=_TURN_COUNTS, help="numbers of turns (%(default)s)")
    speed.add_argument("--decisions", type=int, default=9, help="prompts in each cell, >= 1 (default: %(default)s)")
    speed.add_argument(
        "--method-budget-s",
        type=float,
        default=60.0,
        help="a method that has used this much time in a cell skips its other prompts (default: %(default)s)",
    )
    agreement = commands.add_parser("agreement", help="compare decisions with greedy constrained decoding")
    agreement.add_argument("--prompts", type=int, default=500, help="how many, >= 1 (default: %(default)s)")
    agreement.add_argument(
        "--routes", type=int, nargs="+", default=ROUTE_COUNTS, help="numbers of routes (%(default)s)"
    )
    for command in (speed, agreement):
        command.add_argument(
            "--bundle", type=Path, metavar="DIR", help="a bundle of the runtime cpu (default: made here)"
        )
        command.add_argument("--json", type=Path, metavar="FILE", help="write every measurement")
    picture = commands.add_parser("picture", help="draw the times of a results file")
    picture.add_argument("results", type=Path, help="JSON of the command speed")
    picture.add_argument("picture", type=Path, help="file to write, e.g. times.svg")
    return parser


def _bundle(recipe: Recipe, console: Console) -> PromptBundle:
    """Load the model's bundle; make it first when it is not in the cache."""
    if not recipe.bundle.is_dir():
        from benchmarks.scoring.checkpoint import make_bundle  # noqa: PLC0415  # torch is in the extra `build` only

        with console.status(f"making a random Qwen2 of {recipe.parameter_count:,} parameters"):
            make_bundle(recipe, recipe.bundle)
    console.print(
        f"Model: random Qwen2, {recipe.parameter_count:,} parameters, float32, logit gain {recipe.logit_gain:g}"
    )
    return load_bundle(recipe.bundle)


async def _speed(bundle: PromptBundle, arguments: argparse.Namespace, console: Console) -> None:
    plan = Plan(arguments.decisions, arguments.method_budget_s)
    cells = _measured(arguments.json, bundle)
    done = {(cell.route_count, cell.turn_count) for cell in cells}
    grid = [size for size in product(arguments.routes, arguments.turns) if size not in done]
    topics, heading = read_topics(), _heading(bundle)
    async with running_engine(bundle, policy_set_count=len(arguments.routes)) as engine:
        with _progress(console) as progress:
            task = progress.add_task("", total=len(grid) * plan.decision_count)
            for route_count, turn_count in grid:
                progress.update(task, description=f"{route_count} routes, {turn_count} turns")
                cell_bench = CellBench(engine, topics, route_count, turn_count)
                cells.append(await cell_bench.run(plan, lambda: progress.advance(task)))
                _write(arguments.json, {**heading, "cells": [_as_record(cell) for cell in cells]})
    report.print_speed(console, cells)


def _measured(path: Path | None, bundle: PromptBundle) -> list[Cell]:
    """Read the cells that an earlier, interrupted run on the same model has left."""
    if path is None or not path.is_file():
        return []
    document = json.loads(path.read_text("utf-8"))
    if document["model_version"] != bundle.profile.model_version:
        sys.exit(f"error: {path} was measured on another model; name another file")
    return _CELLS.validate_python(document["cells"])


def _as_record(cell: Cell) -> dict[str, object]:
    return {**asdict(cell), "summaries": [asdict(each) for each in report.summarise(cell)]}


async def _agreement(bundle: PromptBundle, arguments: argparse.Namespace, console: Console) -> None:
    heading = _heading(bundle)
    async with running_engine(bundle, policy_set_count=len(arguments.routes)) as engine:
        with _progress(console) as progress:
            task = progress.add_task("prompts", total=arguments.prompts)
            comparisons = await compare(
                engine,
                read_topics(),
                arguments.prompts,
                lambda: progress.advance(task),
                route_counts=arguments.routes,
            )
    report.print_agreement(console, comparisons)
    _write(arguments.json, {**heading, "comparisons": [asdict(each) for each in comparisons]})


def _heading(bundle: PromptBundle) -> dict[str, object]:
    return {
        "command": " ".join(["python -m benchmarks.scoring", *sys.argv[1:]]),
        "environment": report.environment(),
        "model": bundle.manifest.checkpoint.name,
        "model_version": bundle.profile.model_version,
    }


def _write(path: Path | None, document: dict[str, object]) -> None:
    if path is not None:
        path.write_text(json.dumps(document, indent=1, default=_plain) + "\n", "utf-8")


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    msg = f"{type(value).__name__} does not go into a results file"
    raise TypeError(msg)


if __name__ == "__main__":
    main()
