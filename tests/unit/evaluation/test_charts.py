"""Geometry of the charts."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.scored_turns import scored

from archrouter.evaluation.charts import Figure, latency_plot, reliability_plot, risk_coverage_plot, row_chart
from archrouter.evaluation.reliability import Reliability, reliability
from archrouter.evaluation.shapes import (
    PLOT_BOTTOM,
    PLOT_LEFT,
    PLOT_RIGHT,
    PLOT_TOP,
    ROWS_LEFT,
    ROWS_RIGHT,
    Plot,
)


def _calibration(*decisions: tuple[float, bool]) -> Reliability:
    figures = reliability(
        [
            turn
            for number, (confidence, right) in enumerate(decisions)
            for turn in scored("a", "a" if right else "b", conversation_id=f"c{number}", confidence=confidence)
        ]
    )
    assert figures is not None
    return figures


def _is_inside(plot: Plot) -> bool:
    """Say whether everything is drawn inside the frame."""
    xs = [
        *(edge for bar in plot.bars for edge in (bar.x, bar.x + bar.width)),
        *(x for x, _ in plot.line),
        *(point.x for point in plot.points),
        *(tick.at for tick in plot.x_ticks),
    ]
    ys = [
        *(edge for bar in plot.bars for edge in (bar.y, bar.y + bar.height)),
        *(y for _, y in plot.line),
        *(point.y for point in plot.points),
        *(tick.at for tick in plot.y_ticks),
    ]
    slack = 1.5  # bars leave a gap between each other, and positions are rounded
    return all(PLOT_LEFT - slack <= x <= PLOT_RIGHT + slack for x in xs) and all(
        PLOT_TOP - slack <= y <= PLOT_BOTTOM + slack for y in ys
    )


def test_rows_put_shares_on_their_axis() -> None:
    """0 is at the left end, 1 at the right; each row is below the one before, and the label has all figures."""
    chart = row_chart("t", [Figure("none", 0.0, None), Figure("all", 1.0, (0.5, 1.0)), Figure("half", 0.5, None, 0.25)])

    none, everything, half = chart.rows
    assert (ROWS_LEFT, ROWS_RIGHT) == (none.value_x, everything.value_x)
    assert (ROWS_LEFT + ROWS_RIGHT) / 2 == half.value_x
    assert (half.value_x, ROWS_RIGHT) == everything.ends_x
    assert none.y < everything.y < half.y < chart.bottom < chart.height
    assert "all: 100.0 %, 95 % interval 50.0 to 100.0 %" == everything.label
    assert "half: 50.0 %, before 25.0 %" == half.label


def test_long_names_are_cut_to_their_room() -> None:
    """A name that would run into the chart is cut; the label that shows when pointed at keeps it whole."""
    (row,) = row_chart("t", [Figure("x" * 60, 0.5, None)]).rows

    assert "x" * 19 + "…" == row.name
    assert row.label.startswith("x" * 60)


def test_reliability_has_a_bar_for_each_bin() -> None:
    """A bar is as high as the accuracy of its bin, and stands at its confidence."""
    plot = reliability_plot(_calibration((0.5, True), (0.5, False), (1.0, True)))

    assert [(PLOT_TOP + PLOT_BOTTOM) / 2, PLOT_TOP] == [bar.y for bar in plot.bars]
    assert (PLOT_LEFT + PLOT_RIGHT) / 2 == plot.points[0].x
    assert "confidence 0.50: 50.0 % of 2 right" == plot.bars[0].label


def test_risk_axis_fits_the_curve() -> None:
    """The axis ends at the next ten percent above the highest risk."""
    plot = risk_coverage_plot(_calibration((0.9, True), (0.8, True), (0.7, False), (0.6, True)))

    assert ["0 %", "20 %", "40 %"] == [tick.label for tick in plot.y_ticks]
    assert "75.0 % of the surest 100.0 % are right" == plot.points[0].label


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_confidence_charts_stay_inside(decisions: list[tuple[float, bool]]) -> None:
    """Whatever the figures, nothing is drawn outside the frame."""
    figures = _calibration(*decisions)

    assert _is_inside(reliability_plot(figures))
    assert _is_inside(risk_coverage_plot(figures))


@given(st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=60))
@example([1.0, 5646.296111706128])
def test_latency_chart_stays_inside_and_counts_every_call(durations_s: list[float]) -> None:
    """The histogram holds every call, and its marks are inside too."""
    plot = latency_plot(durations_s, [("p50", sorted(durations_s)[len(durations_s) // 2])])

    assert _is_inside(plot)
    assert all(PLOT_LEFT - 1 <= guide.x1 <= PLOT_RIGHT + 1 for guide in plot.guides)
    assert len(durations_s) == sum(int(bar.label.split()[0]) for bar in plot.bars)


@pytest.mark.parametrize(
    ("durations_s", "labels"),
    [
        ([0.01, 0.1], ["10 ms", "20 ms", "50 ms", "100 ms"]),
        ([0.001, 1.0], ["1 ms", "10 ms", "100 ms", "1 s"]),
        ([0.1, 0.1], ["50 ms", "100 ms", "200 ms"]),
    ],
)
def test_latency_ticks_are_round(durations_s: list[float], labels: list[str]) -> None:
    """Ticks are at 1, 2 and 5 of each power of ten while there is room, then at the powers."""
    assert labels == [tick.label for tick in latency_plot(durations_s, []).x_ticks]
