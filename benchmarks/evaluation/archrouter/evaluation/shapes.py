"""What the report's charts are made of: positions in the units of the drawing's own box, and texts."""

from dataclasses import dataclass

WIDTH = 340.0
"""Every drawing is as wide as a phone, so that its letters have the size of the text around it there."""

PLOT_HEIGHT = 240.0
PLOT_LEFT, PLOT_RIGHT, PLOT_TOP, PLOT_BOTTOM = 60.0, WIDTH - 20.0, 18.0, PLOT_HEIGHT - 40.0
"""The frame of a plot; what is around it is room for the axes' labels."""

ROW_HEIGHT = 24.0
ROWS_LEFT, ROWS_RIGHT, ROWS_TOP = 132.0, WIDTH - 20.0, 6.0
_ROWS_MARGIN = 24.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A filled rectangle; the label shows when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Point:
    """A mark; the label shows when it is pointed at."""

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Guide:
    """A dashed line; the label stands at its end, empty for none."""

    x1: float
    y1: float
    x2: float
    y2: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart with two axes.

    Attributes:
        title: What it shows, for those who cannot see it.
        x_label: What the horizontal axis says.
        y_label: What the vertical axis says.
        x_ticks: Labels along the horizontal axis.
        y_ticks: Labels along the vertical axis.
        bars: Rectangles.
        line: Points of a curve; empty for none.
        points: Marks.
        guides: Dashed lines.
    """

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...] = ()
    line: tuple[tuple[float, float], ...] = ()
    points: tuple[Point, ...] = ()
    guides: tuple[Guide, ...] = ()
    width: float = WIDTH
    height: float = PLOT_HEIGHT
    left: float = PLOT_LEFT
    right: float = PLOT_RIGHT
    top: float = PLOT_TOP
    bottom: float = PLOT_BOTTOM


@dataclass(frozen=True, slots=True)
class ChartRow:
    """One share, drawn.

    Attributes:
        y: Middle of the row.
        name: Shortened to the room there is.
        label: Name and figures in full.
        value_x: Where the share is.
        ends_x: Where the ends of its interval are; None for none.
        reference_x: Where the share it is compared with is; None for none.
    """

    y: float
    name: str
    label: str
    value_x: float
    ends_x: tuple[float, float] | None
    reference_x: float | None


@dataclass(frozen=True, slots=True)
class RowChart:
    """Shares under each other on one horizontal axis.

    Attributes:
        title: What it shows, for those who cannot see it.
        rows: The shares.
        ticks: Labels of the axis.
    """

    title: str
    rows: tuple[ChartRow, ...]
    ticks: tuple[Tick, ...]
    width: float = WIDTH
    left: float = ROWS_LEFT
    right: float = ROWS_RIGHT
    top: float = ROWS_TOP

    @property
    def bottom(self) -> float:
        """Where the axis is."""
        return self.top + len(self.rows) * ROW_HEIGHT

    @property
    def height(self) -> float:
        """Of the whole drawing."""
        return self.bottom + _ROWS_MARGIN
