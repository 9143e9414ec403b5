"""Draws the times of a results file."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from benchmarks.scoring.speed import Reuse, Way
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_STYLES = {
    (Way.GENERATE, Reuse.NONE): ("#b23a2e", "--", "generate and parse, nothing reused"),
    (Way.GENERATE, Reuse.POLICIES): ("#b23a2e", ":", "generate and parse, policies reused"),
    (Way.GENERATE, Reuse.DIALOGUE): ("#b23a2e", "-", "generate and parse, policies and dialogue reused"),
    (Way.SCORE, Reuse.NONE): ("#1f5fa8", "--", "score, nothing reused"),
    (Way.SCORE, Reuse.POLICIES): ("#1f5fa8", ":", "score, policies reused"),
    (Way.SCORE, Reuse.DIALOGUE): ("#1f5fa8", "-", "score, policies and dialogue reused"),
}


def draw(results: Path, picture: Path) -> None:
    """Draw median times over the number of routes, a panel for each length of conversation.

    Args:
        results: JSON as ``speed --json`` writes it.
        picture: File to write; its ending names the format.
    """
    document = json.loads(results.read_text("utf-8"))
    turn_counts = sorted({cell["turn_count"] for cell in document["cells"]})
    mpl.rcParams["svg.hashsalt"] = "archrouter"  # the same data gives the same bytes
    figure = Figure(figsize=(4.2 * len(turn_counts), 4.8), layout="constrained")
    panels = figure.subplots(1, len(turn_counts), sharey=True, squeeze=False)[0]
    for axes, turn_count in zip(panels, turn_counts, strict=True):
        cells = [cell for cell in document["cells"] if cell["turn_count"] == turn_count]
        _draw_panel(axes, sorted(cells, key=lambda cell: int(cell["route_count"])))
        axes.set_title(f"{turn_count} user turn{'s' if turn_count > 1 else ''}")
    panels[0].set_ylabel("median time per decision, s")
    handles = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False)
    environment = document["environment"]
    figure.suptitle(f"{document['model']}, {environment['processor']}", size=10)
    metadata = {"Date": None} if picture.suffix == ".svg" else None
    figure.savefig(picture, metadata=metadata)


def _draw_panel(axes: Axes, cells: list[Any]) -> None:  # Any: parsed JSON
    for (way, reuse), (color, line_style, label) in _STYLES.items():
        points = [
            (cell["route_count"], summary["quartiles_s"][1])
            for cell in cells
            for summary in cell["summaries"]
            if summary["method"] == {"way": way.value, "reuse": reuse.value}
        ]
        if points:
            axes.plot(*zip(*points, strict=True), color=color, linestyle=line_style, marker="o", label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([cell["route_count"] for cell in cells], [str(cell["route_count"]) for cell in cells])
    axes.minorticks_off()
    axes.set_xlabel("routes")
    axes.grid(alpha=0.3)
