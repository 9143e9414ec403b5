"""Draws a results file: latency at half load and in overload, and the overload second by second."""

from pathlib import Path

import matplotlib as mpl
from benchmarks.load.parts import Document
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_BLUE, _RED, _GREY = "#1f5fa8", "#b23a2e", "#8a8a8a"


def draw(document: Document, picture: Path) -> None:
    """Draw the parts `half` and `twice`.

    Args:
        document: As the command line writes it.
        picture: File to write; its ending names the format.
    """
    mpl.rcParams["svg.hashsalt"] = "archrouter"  # the same data gives the same bytes
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_latency(left, document)
    _draw_timeline(right, document["twice"])
    environment = document["environment"]
    figure.suptitle(f"{environment['processor']}, {environment['core_count']} cores", size=10)
    figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None)


def _draw_latency(axes: Axes, document: Document) -> None:
    for name, color, label in (("half", _BLUE, "half load"), ("twice", _RED, "twice capacity, accepted")):
        cdf = document[name]["cdf"]
        axes.plot([1000 * one for one in cdf["durations_s"]], cdf["percentiles"], color=color, label=label)
    axes.set_xlabel("latency, ms")
    axes.set_ylabel("share of calls, %")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def _draw_timeline(axes: Axes, twice: Document) -> None:
    rows = [row for row in twice["timeline"] if row["p99_s"] is not None]
    seconds = [row["second"] for row in rows]
    axes.plot(seconds, [row["accepted"] for row in rows], color=_BLUE, label="accepted, 1/s")
    axes.plot(seconds, [row["refused"] for row in rows], color=_GREY, label="refused, 1/s")
    axes.plot(seconds, [1000 * row["p99_s"] for row in rows], color=_RED, label="accepted p99, ms")
    axes.set_xlabel("seconds: twice capacity, then half of it")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
