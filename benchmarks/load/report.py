"""A table of the figures, with what they are held against."""

from collections.abc import Iterable

from benchmarks.load.parts import Document
from rich.console import Console
from rich.table import Table


def print_report(document: Document, console: Console) -> None:
    """Print what a results file holds, figure by figure."""
    environment = document.get("environment", {})
    console.print(", ".join(f"{name} {value}" for name, value in environment.items()), highlight=False)
    table = Table("part", "figure", "value", "held against", "n")
    for row in rows(document):
        table.add_row(*row)
    console.print(table)


def rows(document: Document) -> list[tuple[str, str, str, str, str]]:
    """List part, figure, value, what it is held against, and the number of calls behind it."""
    found: list[tuple[str, str, str, str, str]] = []
    if turns := document.get("turns"):
        latency, ratios = turns["latency"], turns["ratios"]
        names, held = ", ".join(latency), ", ".join(ratios)
        count = ", ".join(str(each["count"]) for each in latency.values())
        found += [
            ("turns", f"median: {names}", _each_ms(each["median_s"] for each in latency.values()), "", count),
            ("turns", f"median / bare: {held}", _ratios(ratios, "median"), "≤ 1.3", count),
            ("turns", f"p99 / bare: {held}", _ratios(ratios, "p99"), "≤ 1.5", count),
            ("turns", f"throughput / bare: {held}", _ratios(ratios, "throughput"), "≥ 0.9", ""),
            ("turns", f"processor time of a call: {names}", _each_ms(turns.get("processor_s", {}).values()), "", ""),
            ("turns", "capacity", f"{turns['throughput_per_s']['service']:.0f}/s", "", ""),
        ]
    if half := document.get("half"):
        found.append(("half", "median, p99", f"{_ms(half['median_s'])}, {_ms(half['p99_s'])}", "", str(half["count"])))
    if twice := document.get("twice"):
        found += _overload_rows(twice, half)
    if reloads := document.get("reloads"):
        failed = sum(count for code, count in reloads["codes"].items() if code != "OK")
        found += [
            ("reloads", f"failed in {reloads['swap_count']} swaps", str(failed), "0", str(reloads["count"])),
            ("reloads", "p99, with / without swaps", f"{reloads['p99_ratio']:.2f}", "≤ 1.5", str(reloads["count"])),
        ]
    if idle := document.get("idle"):
        count = f"{idle['connection_count']} connections"
        medians = f"{_ms(idle['quiet']['median_s'])}, {_ms(idle['beside']['median_s'])}"
        found += [
            ("idle", "memory of a connection", f"{idle['bytes_each'] / 1024:.0f} KiB", "", count),
            ("idle", "median, alone and beside them", medians, "", str(idle["beside"]["count"])),
            ("idle", "files left afterwards", str(idle["files_left"]), "0", count),
        ]
    if soak := document.get("soak"):
        usage = soak["usage"]
        found += [
            ("soak", "memory, growth", f"{usage['resident_growth_ratio']:+.1%}", "< 2 %", str(soak["count"])),
            ("soak", "files, warm and last", _both(usage, "file_count"), "flat", ""),
            ("soak", "threads, warm and last", _both(usage, "thread_count"), "flat", ""),
        ]
    return found


def _overload_rows(twice: Document, half: Document | None) -> list[tuple[str, str, str, str, str]]:
    accepted, refused = twice["accepted"], twice["refused"]
    ratio = f"{accepted['p99_s'] / half['p99_s']:.2f}" if half else "?"
    return [
        ("twice", "accepted p99", _ms(accepted["p99_s"]), "", str(accepted["count"])),
        ("twice", "accepted p99 / p99 at half load", ratio, "≤ 3", str(accepted["count"])),
        ("twice", "goodput / capacity", f"{twice['goodput_ratio']:.2f}", "≥ 0.9", str(accepted["count"])),
        ("twice", "refusals, median", _ms(refused["median_s"]), "≤ 10 ms", str(refused["count"])),
        ("twice", "last refusal after the overload", f"{twice['recovery_s']:.2f} s", "≤ 1 s", ""),
        ("twice", "memory, growth", f"{twice['usage']['resident_growth_ratio']:+.1%}", "flat", ""),
        ("twice", "codes", ", ".join(f"{code} {count}" for code, count in twice["codes"].items()), "", ""),
    ]


def _ratios(ratios: Document, name: str) -> str:
    return ", ".join(f"{each[name]:.2f}" for each in ratios.values())


def _both(usage: Document, name: str) -> str:
    return f"{usage['warm'][name]}, {usage['last'][name]}"


def _each_ms(times_s: Iterable[float]) -> str:
    return ", ".join(_ms(each) for each in times_s)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"
