"""Figures for people."""

from archrouter.workbench.formats import duration, p_value, percent, percent_range, points, points_range


def test_shares_are_percentages() -> None:
    """One decimal, and a dash where there is nothing."""
    assert ["93.2 %", "93 %", "–"] == [percent(0.932), percent(0.932, 0), percent(None)]  # noqa: RUF001  # a dash
    assert ["91.0 to 94.8 %", "–"] == [percent_range((0.91, 0.948)), percent_range(None)]  # noqa: RUF001  # a dash


def test_differences_have_signs() -> None:
    """Percentage points always say in which direction."""
    assert ["+1.5", "-0.4", "+0.0"] == [points(0.015), points(-0.004), points(0.0)]
    assert ["-2.4 to +0.6", "–"] == [points_range((-0.024, 0.006)), points_range(None)]  # noqa: RUF001  # a dash


def test_durations_have_three_digits() -> None:
    """Milliseconds below a second, seconds from there."""
    assert ["51.2 ms", "1 ms", "2.35 s"] == [duration(0.05123), duration(0.001), duration(2.345)]


def test_small_p_values_are_not_zero() -> None:
    """A p-value is never written as 0.000."""
    assert ["0.050", "1.000", "< 0.001"] == [p_value(0.05), p_value(1.0), p_value(0.0)]
