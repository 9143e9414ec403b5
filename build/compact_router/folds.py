"""Put the folds of a cross-validation together: turn accuracy on what they held out, by source and over all.

A share over all turns depends on how many of each source were drawn, which is how training weighs them (material.py).
So the mean over sources is given as well, and with --weights the mean that they have in a benchmark.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from compact_router.material import PARTS

Counts = Mapping[str, tuple[int, int]]
"""Right answers and turns, by source."""


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(
        prog="python -m compact_router.folds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m compact_router.folds out/fold-{0,1,2,3} --weights clinc=1132,sgd=758,banking77=120",
    )
    parser.add_argument("folds", type=Path, nargs="+", help="output folders of compact_router.train --fold")
    parser.add_argument("--weights", type=read_weights, default={}, help="weights of sources, such as clinc=2,sgd=1")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    try:
        found = {part: read_counts(given.folds, part) for part in PARTS}
        figures = {part: summary(counts, given.weights) for part, counts in found.items()}
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if given.json:
        print(json.dumps({part: {"sources": dict(found[part]), **figures[part]} for part in found}))
        return
    table = Table(
        "turns of",
        *(f"{part.replace('_', ' ')}, right of turns" for part in found),
        caption=f"{len(given.folds)} folds",
    )
    for name in sorted({name for counts in found.values() for name in counts}):
        table.add_row(name, *(_shown(*counts.get(name, (0, 0))) for counts in found.values()))
    for name in figures[PARTS[0]]:
        table.add_row(name.replace("_", " "), *(f"{each[name]:.1%}" for each in figures.values()), style="bold")
    Console().print(table)


def read_weights(text: str) -> dict[str, float]:
    """Read ``source=weight`` pairs, separated by commas; argparse reports a ValueError."""
    return {name: float(weight) for name, _, weight in (pair.partition("=") for pair in text.split(","))}


def read_counts(folds: Sequence[Path], part: str) -> Counts:
    """Add up what folds measured, by source; ``social`` is the source of thanks and greetings, which belong to none."""
    right, turns = Counter[str](), Counter[str]()
    for folder in folds:
        document = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        for source, (some_right, some_turns) in document["by_source"].items():
            right[source] += some_right
            turns[source] += some_turns
    return {source: (right[source], turns[source]) for source in sorted(turns)}


def summary(counts: Counts, weights: Mapping[str, float]) -> dict[str, float]:
    """Average over sources in several ways.

    Args:
        counts: Of at least one turn.
        weights: By source; sources without one are left out of the weighted mean. May be empty.

    Returns:
        ``all_turns``, ``mean_of_sources`` and, with weights, ``weighted_mean``: shares in [0, 1].

    Raises:
        ValueError: When a source has a weight, but no turn.
    """
    if missing := sorted(set(weights) - set(counts)):
        msg = f"--weights names {', '.join(missing)}, of which no turn was measured; there are {', '.join(counts)}"
        raise ValueError(msg)
    share = {name: right / turns for name, (right, turns) in counts.items()}
    found = {
        "all_turns": sum(right for right, _ in counts.values()) / sum(turns for _, turns in counts.values()),
        "mean_of_sources": sum(share.values()) / len(share),
    }
    if weights:
        found["weighted_mean"] = sum(weights[name] * share[name] for name in weights) / sum(weights.values())
    return found


def _shown(right: int, turns: int) -> str:
    return f"{right / turns:.1%} of {turns}" if turns else "-"


if __name__ == "__main__":
    main()
