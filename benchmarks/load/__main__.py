"""Command line of the load benchmark."""

import asyncio
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from benchmarks.load.parts import PARTS, Document, Plan
from benchmarks.load.report import print_report
from benchmarks.load.scene import running_scene
from rich.console import Console

from archrouter.version import VERSION

_EPILOG = """\b
Examples:
  python -m benchmarks.load --json load.json             bare and service, half load, twice capacity: 4 minutes
  python -m benchmarks.load --json load.json             again after an interruption: the parts that are missing
  python -m benchmarks.load soak reloads --json load.json --serve=--server-processes=2
  python -m benchmarks.load --json load.json --again twice
  python -m benchmarks.load turns --callers 8            throughput of eight callers
  python -m benchmarks.load --picture load.svg --json load.json
"""
_DEFAULT_PARTS = ("turns", "half", "twice")


@click.command(epilog=_EPILOG)
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)), metavar="[PART]...")
@click.option(
    "--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Results; parts in it are not done again."
)
@click.option("--again", is_flag=True, help="Do parts again that the file has.")
@click.option("--quick", is_flag=True, help="Seconds for each part, to see that it works.")
@click.option("--callers", type=click.IntRange(1), default=4, show_default=True, help="Calls at a time for throughput.")
@click.option("--capacity", type=float, help="Decisions a second; otherwise what the part `turns` has measured.")
@click.option("--serve", multiple=True, metavar="OPTION", help="Further option of `archrouter serve`, with its value.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the file's figures instead (extra `build`).")
def main(
    *,
    parts: Sequence[str],
    file: Path | None,
    again: bool,
    quick: bool,
    callers: int,
    capacity: float | None,
    serve: Sequence[str],
    picture: Path | None,
) -> None:
    """Measure the service under load, in an open loop, against the bare Triton behind it.

    PARTS are turns, half, twice, reloads, idle and soak; the first three without any.
    """
    document: Document = json.loads(file.read_text("utf-8")) if file and file.exists() else {}
    if picture:
        if missing := [part for part in ("half", "twice") if part not in document]:
            msg = f"--json names no file with the part {' and '.join(missing)}; measure first, without --picture"
            raise click.UsageError(msg)
        from benchmarks.load.picture import draw  # noqa: PLC0415  # matplotlib is in the extra `build` only

        draw(document, picture)
        return
    plan = Plan(2, 1.0, callers, 3.0, 5.0, 6.0, 5, 0.5) if quick else Plan(concurrency=callers)
    wanted = [part for part in parts or _DEFAULT_PARTS if again or part not in document]
    if wanted and not (capacity or _capacity(document) or "turns" in wanted):
        wanted.insert(0, "turns")
    if wanted:
        asyncio.run(_measure(document, wanted, plan, capacity, serve, file))
    print_report(document, Console(width=140))


async def _measure(
    document: Document,
    wanted: Sequence[str],
    plan: Plan,
    capacity: float | None,
    serve: Sequence[str],
    file: Path | None,
) -> None:
    document["environment"] = {
        "version": VERSION,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "core_count": os.cpu_count(),
        "load_at_start": os.getloadavg()[0],
        "serve": list(serve),
    }
    known = capacity or _capacity(document)
    async with running_scene(serve) as scene:
        for name in wanted:
            document[name] = await PARTS[name](scene, plan, known)
            known = capacity or _capacity(document)
            if file:
                _save(document, file)


def _capacity(document: Document) -> float:
    """Read what `turns` has measured, in decisions a second; 0 before that."""
    return float(document["turns"]["throughput_per_s"]["service"]) if "turns" in document else 0.0


def _save(document: Document, file: Path) -> None:
    file.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
