"""Command line of the comparison with peers."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.aurelio import Aurelio
from benchmarks.peers.examples import read_examples
from benchmarks.peers.peer import Peer, Result, run_peer
from benchmarks.peers.report import as_document, print_results
from benchmarks.peers.tfidf import TfidfNearest
from benchmarks.peers.tiers import CallsFailedError, run_service
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from archrouter.cli.local_service import LocalServiceError, local_service
from archrouter.evaluation.dataset import Dataset, DatasetError, read_dataset, read_policy_sets

_EXAMPLES = """\
examples:
  python -m benchmarks.peers BENCHMARK --train TRAIN_SOURCES
  python -m benchmarks.peers BENCHMARK --train TRAIN_SOURCES --json peers.json --limit 20
  python -m benchmarks.peers BENCHMARK --train TRAIN_SOURCES --service engine=127.0.0.1:50051

exit codes: 0 every row is there, 1 a service did not start or did not answer, 2 the folder or an argument is wrong
"""
_FIT_SETS = ("clinc_fine_half_A", "banking77_fine_half_A", "hwu64_fine_half_A", "sgd_fine_half_A")
"""Policy sets of the training sources that have examples for every route."""


def main() -> int:
    """Do what the command line says.

    Returns:
        Exit code.
    """
    arguments = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 200)
    try:
        dataset = read_dataset(arguments.directory)
        fit_sets = [read_policy_sets(arguments.train)[name] for name in _FIT_SETS]
        examples = read_examples(arguments.train)
    except (DatasetError, OSError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.limit:
        dataset = dataset.limited(arguments.limit)
    peers: list[Peer] = [
        TfidfNearest(examples, fit_sets),
        Aurelio(examples, fit_sets, with_utterances=False),
        Aurelio(examples, fit_sets, with_utterances=True),
    ]
    results = []
    for peer in peers:
        with _progress(console, peer.name, dataset) as on_turn:
            results.append(run_peer(peer, dataset, on_turn))
    try:
        results += _tiers(dataset, arguments.service, console)
    except (LocalServiceError, CallsFailedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print_results(console, results)
    if arguments.json:
        arguments.json.write_text(json.dumps(as_document(results), indent=1) + "\n", "utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description="Accuracy and latency of other ways to route, beside this project's, on one benchmark folder.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, help="benchmark folder, as `archrouter eval` reads it")
    parser.add_argument("--train", type=Path, required=True, help="folder of the training sources that peers fit on")
    parser.add_argument("--limit", type=int, help="conversations of each setting at most, >= 1")
    parser.add_argument(
        "--service",
        action="append",
        default=[],
        metavar="NAME=HOST:PORT",
        help="another running service, e.g. one with the engine tier; repeatable",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    return parser


def _tiers(dataset: Dataset, services: list[str], console: Console) -> Iterator[Result]:
    """Measure the compact tier, started here, and the services that are named."""
    with local_service(arguments=["--policies-inline-enabled", "--logging-level", "warning"]) as target:
        yield _service("compact tier", "its training, see the model card", target, dataset, console)
    for service in services:
        name, _, target = service.partition("=")
        yield _service(f"{name} tier", "", target, dataset, console)


def _service(name: str, seen: str, target: str, dataset: Dataset, console: Console) -> Result:
    with _progress(console, name, dataset) as on_turn:
        return run_service(name, seen, target, dataset, on_turn)


@contextmanager
def _progress(console: Console, name: str, dataset: Dataset) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=dataset.turn_count)
        yield lambda: progress.advance(task)


if __name__ == "__main__":
    sys.exit(main())
