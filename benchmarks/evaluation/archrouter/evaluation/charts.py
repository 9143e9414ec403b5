"""The report's charts: figures in, positions out; the templates draw them. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from archrouter.evaluation.reliability import Reliability
from archrouter.evaluation.shapes import (
    PLOT_BOTTOM,
    PLOT_LEFT,
    PLOT_RIGHT,
    PLOT_TOP,
    ROW_HEIGHT,
    ROWS_LEFT,
    ROWS_RIGHT,
    ROWS_TOP,
    Bar,
    ChartRow,
    Guide,
    Plot,
    Point,
    RowChart,
    Tick,
)
from archrouter.evaluation.significance import Interval
from archrouter.workbench.formats import duration, percent, percent_range
from archrouter.workbench.pages import page_environment

_ROW_NAME_CHARACTERS = 20
_HISTOGRAM_BINS = 30
_SMALLEST_RISK_AXIS = 0.1


@dataclass(frozen=True, slots=True)
class Figure:
    """A share to be drawn on a row of its own.

    Attributes:
        name: What it is of.
        value: In [0, 1].
        interval: Ends of its interval; None for none.
        reference: A share to compare it with, in [0, 1]; None for none.
    """

    name: str
    value: float
    interval: Interval | None
    reference: float | None = None


_Scale = Callable[[float], float]


def row_chart(title: str, figures: Sequence[Figure]) -> RowChart:
    """Draw shares under each other; the chart is as high as its rows."""
    x = _scale(0.0, 1.0, ROWS_LEFT, ROWS_RIGHT)
    rows = []
    for number, figure in enumerate(figures):
        ends, reference = figure.interval, figure.reference
        label = f"{figure.name}: {percent(figure.value)}"
        label += "" if ends is None else f", 95 % interval {percent_range(ends)}"
        label += "" if reference is None else f", before {percent(reference)}"
        rows.append(
            ChartRow(
                y=ROWS_TOP + (number + 0.5) * ROW_HEIGHT,
                name=_cut(figure.name),
                label=label,
                value_x=x(figure.value),
                ends_x=None if ends is None else (x(ends[0]), x(ends[1])),
                reference_x=None if reference is None else x(reference),
            )
        )
    return RowChart(title, tuple(rows), _percent_ticks(x))


def reliability_plot(figures: Reliability) -> Plot:
    """Draw accuracy over confidence, a bar for each bin; a calibrated router is on the diagonal."""
    x, y = _x(0.0, 1.0), _y(0.0, 1.0)
    bars, points = [], []
    for one in figures.bins:
        label = f"confidence {one.mean_confidence:.2f}: {percent(one.accuracy)} of {one.count} right"
        width = x(one.upper) - x(one.lower)
        bars.append(Bar(x(one.lower) + 1, y(one.accuracy), width - 2, y(0.0) - y(one.accuracy), label))
        points.append(Point(x(one.mean_confidence), y(one.accuracy), label))
    return Plot(
        title="Share of right decisions over their confidence, with the diagonal of a calibrated router",
        x_label="confidence",
        y_label="right",
        x_ticks=_percent_ticks(x),
        y_ticks=_percent_ticks(y),
        bars=tuple(bars),
        points=tuple(points),
        guides=(Guide(x(0.0), y(0.0), x(1.0), y(1.0)),),
    )


def risk_coverage_plot(figures: Reliability) -> Plot:
    """Draw the share of wrong decisions over the share that is kept, surest first, and mark the quoted coverage."""
    highest = max(point.risk for point in figures.curve)
    top = max(_SMALLEST_RISK_AXIS, math.ceil(highest * 10) / 10)
    x, y = _x(0.0, 1.0), _y(0.0, top)
    quoted = figures.at_quoted_coverage
    label = f"{percent(1 - quoted.risk)} of the surest {percent(quoted.coverage)} are right"
    return Plot(
        title=f"Share of wrong decisions over the share kept, surest first; {label}",
        x_label="decisions kept, surest first",
        y_label="wrong",
        x_ticks=_percent_ticks(x),
        y_ticks=tuple(Tick(y(share), percent(share, 0)) for share in (0.0, top / 2, top)),
        line=tuple((x(point.coverage), y(point.risk)) for point in figures.curve),
        points=(Point(x(quoted.coverage), y(quoted.risk), label),),
    )


def latency_plot(durations_s: Sequence[float], marks: Sequence[tuple[str, float]]) -> Plot:
    """Draw how long calls took, on a logarithmic axis.

    Args:
        durations_s: One for each call, in seconds > 0; at least one.
        marks: What to mark: name and seconds.

    Returns:
        A histogram.
    """
    shortest, longest = min(durations_s), max(durations_s)
    if longest < 2 * shortest:  # alike: give the axis some width
        shortest, longest = shortest / 2, longest * 2
    low, high = math.log10(shortest), math.log10(longest)
    # numpy's logarithm may differ from Python's in the last bit, and the ends belong to the histogram.
    logarithms = np.clip(np.log10(np.array(durations_s)), low, high)
    counts, edges = np.histogram(logarithms, bins=_HISTOGRAM_BINS, range=(low, high))
    most = int(counts.max())
    x, y = _x(low, high), _y(0.0, most)
    bars = []
    for count, start, end in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            label = f"{count} calls of {duration(10**start)} to {duration(10**end)}"
            bars.append(Bar(x(start) + 0.5, y(count), x(end) - x(start) - 1, y(0) - y(count), label))
    positions = [(name, x(math.log10(duration_s))) for name, duration_s in marks]
    return Plot(
        title="How many calls took how long; " + ", ".join(f"{name} {duration(seconds)}" for name, seconds in marks),
        x_label="latency, logarithmic",
        y_label="calls",
        x_ticks=_duration_ticks(low, high, x),
        y_ticks=(Tick(y(0), "0"), Tick(y(most), str(most))),
        bars=tuple(bars),
        guides=tuple(Guide(at, PLOT_BOTTOM, at, PLOT_TOP, name) for name, at in positions),
    )


def _scale(low: float, high: float, start: float, end: float) -> _Scale:
    return lambda value: round(start + (value - low) / (high - low) * (end - start), 2)


def _x(low: float, high: float) -> _Scale:
    return _scale(low, high, PLOT_LEFT, PLOT_RIGHT)


def _y(low: float, high: float) -> _Scale:
    return _scale(low, high, PLOT_BOTTOM, PLOT_TOP)


def _percent_ticks(scale: _Scale) -> tuple[Tick, ...]:
    return tuple(Tick(scale(share), percent(share, 0)) for share in (0.0, 0.25, 0.5, 0.75, 1.0))


def _duration_ticks(low: float, high: float, x: _Scale) -> tuple[Tick, ...]:
    """Label 1, 2 and 5 of each power of ten, or the powers alone where that would be too dense."""
    powers_with_room_between = 2
    leads = (1, 2, 5) if high - low < powers_with_room_between else (1,)
    values = [lead * 10.0**power for power in range(math.floor(low), math.ceil(high) + 1) for lead in leads]
    return tuple(Tick(x(math.log10(value)), duration(value)) for value in values if low <= math.log10(value) <= high)


def _cut(name: str) -> str:
    return name if len(name) <= _ROW_NAME_CHARACTERS else f"{name[: _ROW_NAME_CHARACTERS - 1]}…"


def render_svg(chart: Plot) -> str:
    """Draw a chart as an SVG document of its own, its texts escaped."""
    return page_environment("archrouter.evaluation").get_template("plot.svg").render(chart=chart).lstrip()
