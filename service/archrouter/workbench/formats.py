"""Figures and texts as people read them, the same in tables, charts and sentences. Pure."""

from archrouter.workbench.statistics import Interval

NOTHING = "–"  # noqa: RUF001  # a dash, not a minus
_SMALLEST_P_VALUE = 0.001


def shortened(text: str, characters: int = 240) -> str:
    """Fit text into one line of at most `characters`, >= 1, every run of white space as one space."""
    line = " ".join(text[: 4 * characters].split())  # a pasted log may be long; its start is enough
    return line if len(line) <= characters else f"{line[: characters - 1]}…"


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share in [0, 1], e.g. ``93.2 %``, or a dash."""
    return NOTHING if share is None else f"{100 * share:.{digits}f} %"


def percent_range(interval: Interval | None) -> str:
    """Write an interval of a share, e.g. ``91.0 to 94.8 %``, or a dash."""
    return NOTHING if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"


def points(difference: float) -> str:
    """Write a difference of shares in percentage points with their sign, e.g. ``-1.5``."""
    return f"{100 * difference:+.1f}"


def points_range(interval: Interval | None) -> str:
    """Write an interval of a difference of shares, e.g. ``-2.4 to -0.6``, or a dash."""
    return NOTHING if interval is None else f"{points(interval[0])} to {points(interval[1])}"


def duration(seconds: float) -> str:
    """Write seconds with three digits, in milliseconds below a second, e.g. ``51.2 ms``."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def p_value(probability: float) -> str:
    """Write a p-value with three decimals, or that it is smaller."""
    return f"< {_SMALLEST_P_VALUE}" if probability < _SMALLEST_P_VALUE else f"{probability:.3f}"
