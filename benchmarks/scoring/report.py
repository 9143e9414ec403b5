"""Tables for people, and the raw measurements with what they were taken on."""

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
from benchmarks.scoring.agreement import Comparison
from benchmarks.scoring.speed import Cell, Method, Reuse, Sample, Way
from rich.console import Console
from rich.table import Table

_LIBRARIES = ("nvidia-pytriton", "onnxruntime", "onnxruntime-genai", "tokenizers", "tritonclient", "numpy")
_EXCEPTIONS_SHOWN = 10
_SPEED_COLUMNS = (
    *("routes", "turns", "prompt", "answer", "reused", "tokens", "generate s", "score s", "calls", "n"),
    *("generate / score", "generate, nothing reused / score"),
)
_LEGEND = (
    "prompt, answer, tokens: medians in tokens; calls: engine calls a scored decision, of the most it could need; "
    "n: decisions generated and scored; the last two: median over the prompts of the ratio of the two times."
)


@dataclass(frozen=True, slots=True)
class Summary:
    """One method in one cell.

    Attributes:
        method: The method.
        sample_count: Decisions timed.
        quartiles_s: Of their durations, in seconds: lower, median, upper.
        mean_call_count: Engine calls a decision.
        median_cached_token_count: Prompt tokens reused.
        over_same_reuse: How many times as long generating with the same reuse takes: median of the ratios of the
            prompts that both decided; 1 for generating itself.
        over_no_reuse: The same for generating without reuse.
    """

    method: Method
    sample_count: int
    quartiles_s: tuple[float, float, float]
    mean_call_count: float
    median_cached_token_count: float
    over_same_reuse: float
    over_no_reuse: float


def environment() -> dict[str, object]:
    """Say what the measurements are taken on: processor, cores, load, versions."""
    processor = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "processor": processor[0] if processor else platform.processor(),
        "logical_cores": os.cpu_count(),
        "load_average_1_min": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _LIBRARIES},
    }


def summarise(cell: Cell) -> tuple[Summary, ...]:
    """Summarise every method of a cell.

    Args:
        cell: With at least one sample for each method in it.

    Returns:
        A summary per method, in the order of the enumerations.
    """
    by_method = {
        method: taken
        for method in (Method(way, reuse) for reuse in Reuse for way in Way)
        if (taken := [sample for sample in cell.samples if sample.method == method])
    }
    return tuple(
        Summary(
            method=method,
            sample_count=len(taken),
            quartiles_s=_quartiles([sample.duration_s for sample in taken]),
            mean_call_count=statistics.fmean(sample.engine_call_count for sample in taken),
            median_cached_token_count=statistics.median(sample.cached_token_count for sample in taken),
            over_same_reuse=_ratio(by_method[Method(Way.GENERATE, method.reuse)], taken),
            over_no_reuse=_ratio(by_method[Method(Way.GENERATE, Reuse.NONE)], taken),
        )
        for method, taken in by_method.items()
    )


def outcomes_differ(cell: Cell) -> int:
    """Count the prompts whose posterior, or generated tokens, are not the same bits with every reuse."""
    outcomes: dict[tuple[Way, int], set[tuple[float, ...]]] = {}
    for sample in cell.samples:
        outcomes.setdefault((sample.method.way, sample.prompt), set()).add(sample.outcome)
    return sum(len(different) > 1 for different in outcomes.values())


def early_ends(cell: Cell) -> int:
    """Count the generations that the end token cut short, which makes them cheaper than a real answer."""
    generated = [sample for sample in cell.samples if sample.method.way is Way.GENERATE]
    return sum(len(sample.outcome) < cell.answer_token_counts[sample.prompt] for sample in generated)


def print_speed(console: Console, cells: Sequence[Cell]) -> None:
    """Print the times of every cell.

    Args:
        console: Where to.
        cells: What was measured.
    """
    table = Table(*_SPEED_COLUMNS, title="Time per decision: generating and parsing against scoring", caption=_LEGEND)
    for cell in cells:
        summaries = {summary.method: summary for summary in summarise(cell)}
        for reuse in Reuse:
            if (scored := summaries.get(Method(Way.SCORE, reuse))) is not None:
                table.add_row(*_row(cell, summaries[Method(Way.GENERATE, reuse)], scored))
        table.add_section()
    console.print(table)
    prompts = sum(len(cell.prompt_token_counts) for cell in cells)
    differ = sum(map(outcomes_differ, cells))
    console.print(f"With and without reuse: {differ} of {2 * prompts} outcomes differ in any bit ({prompts} prompts).")
    console.print(f"Generations that ended early: {sum(map(early_ends, cells))}.")


def _row(cell: Cell, generated: Summary, scored: Summary) -> tuple[str, ...]:
    return (
        str(cell.route_count),
        str(cell.turn_count),
        f"{statistics.median(cell.prompt_token_counts):.0f}",
        f"{statistics.median(cell.answer_token_counts):.0f}",
        scored.method.reuse.value,
        f"{scored.median_cached_token_count:.0f}",
        _seconds(generated),
        _seconds(scored),
        f"{scored.mean_call_count:.1f} of {cell.branch_count}",
        f"{generated.sample_count}, {scored.sample_count}",
        f"{scored.over_same_reuse:.2f}",
        f"{scored.over_no_reuse:.2f}",
    )


def _seconds(summary: Summary) -> str:
    low, median, high = summary.quartiles_s
    return f"{median:.2f} ({low:.2f}-{high:.2f})"


def print_agreement(console: Console, comparisons: Sequence[Comparison]) -> None:
    """Print how often scoring and greedy constrained decoding agree, and where they do not.

    Args:
        console: Where to.
        comparisons: At least one.
    """
    usual = [each for each in comparisons if each.greedy_is_best]
    exceptions = [each for each in comparisons if not each.greedy_is_best]
    console.print(f"{len(comparisons)} prompts, of which greedy's path is the posterior's maximum in {len(usual)}.")
    console.print(f"  There scoring decides as greedy does in {_share(each.scored == each.greedy for each in usual)}.")
    console.print(
        f"  In the {len(exceptions)} others scoring takes the posterior's maximum in "
        f"{_share(each.scored == each.best for each in exceptions)}."
    )
    console.print(f"  Largest distance from the exact posterior: {max(c.largest_difference for c in comparisons):.2e}.")
    calls = statistics.fmean(each.engine_call_count for each in comparisons)
    everything = statistics.fmean(each.branch_count for each in comparisons)
    console.print(f"  Different candidates chosen: {len({(each.route_count, each.scored) for each in comparisons})}.")
    console.print(f"  Engine calls a decision: {calls:.2f}; asking for everything: {everything:.2f}.")
    if exceptions:
        _print_exceptions(console, exceptions)


def _print_exceptions(console: Console, exceptions: Sequence[Comparison]) -> None:
    """Show where greedy misses: it enters the heaviest subtree, whose mass then splits among several candidates."""
    table = Table("prompt", "routes", "greedy", "its p", "maximum", "its p", title=f"{len(exceptions)} exceptions")
    for each in exceptions[:_EXCEPTIONS_SHOWN]:
        probabilities = f"{each.greedy_probability:.3f}", f"{each.best_probability:.3f}"
        table.add_row(
            str(each.prompt), str(each.route_count), each.greedy, probabilities[0], each.best, probabilities[1]
        )
    console.print(table)


def _ratio(slow: Sequence[Sample], fast: Sequence[Sample]) -> float:
    durations_s = {sample.prompt: sample.duration_s for sample in slow}
    return statistics.median(
        durations_s[sample.prompt] / sample.duration_s for sample in fast if sample.prompt in durations_s
    )


def _quartiles(durations_s: Sequence[float]) -> tuple[float, float, float]:
    low, median, high = np.quantile(durations_s, (0.25, 0.5, 0.75)).tolist()
    return low, median, high


def _share(facts: Iterable[bool]) -> str:
    counted = list(facts)
    return f"{sum(counted)} of {len(counted)}"


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text("utf-8").splitlines() if file.is_file() else []
