"""The table, and the same as JSON."""

from collections.abc import Sequence

from benchmarks.peers.peer import Result
from rich.console import Console
from rich.table import Table

from archrouter.evaluation.turns import Scenario

_LEGEND = (
    "Shares of labelled turns, in %; micro pools all turns, macro is the mean over the settings. Times are of one "
    "decision at a time, on this machine; a service's include gRPC and Triton, a library's are in process."
)


def print_results(console: Console, results: Sequence[Result]) -> None:
    """Print a row a peer, best first.

    Args:
        console: Where to.
        results: At least one.
    """
    scenarios = list(Scenario)
    table = Table("peer", "fitted on", title="Peers on the same data", caption=_LEGEND)
    for heading in ("micro", "95 %", "macro", *(scenario.value for scenario in scenarios), "p50 ms", "p95 ms"):
        table.add_column(heading, justify="right")
    for result in sorted(results, key=lambda each: -each.metrics.micro.turn.value):
        interval = result.metrics.micro.turn_interval
        by_scenario = result.metrics.scenarios
        table.add_row(
            result.name,
            result.seen,
            _percent(result.metrics.micro.turn.value),
            "-".join(map(_percent, interval or ())),
            _percent(result.metrics.macro.turn),
            *(_percent(by_scenario[each].turn.value) if each in by_scenario else "" for each in scenarios),
            f"{result.latency.p50_s * 1e3:.1f}",
            f"{result.latency.p95_s * 1e3:.1f}",
        )
    console.print(table)


def as_document(results: Sequence[Result]) -> list[dict[str, object]]:
    """Write every figure.

    Args:
        results: The rows.

    Returns:
        A JSON-ready object a row; shares in [0, 1], times in seconds.
    """
    return [
        {
            "peer": result.name,
            "fitted_on": result.seen,
            "transport": result.transport,
            "turns": result.metrics.micro.turn.total,
            "micro": result.metrics.micro.turn.value,
            "macro": result.metrics.macro.turn,
            "settings": {name: figures.turn.value for name, figures in result.metrics.settings.items()},
            "scenarios": {each.value: figures.turn.value for each, figures in result.metrics.scenarios.items()},
            "p50_s": result.latency.p50_s,
            "p95_s": result.latency.p95_s,
        }
        for result in results
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
