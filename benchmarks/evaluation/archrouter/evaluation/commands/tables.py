"""What ``archrouter eval`` and ``archrouter compare`` print for people."""

from collections.abc import Iterable

import click
from rich.table import Table

from archrouter.cli.console import print_table
from archrouter.evaluation.comparison import ComparedGroup, Comparison, Robustness
from archrouter.evaluation.reliability import BIN_COUNT, Reliability
from archrouter.evaluation.report import Report, paper_rows, scenario_rows, setting_rows
from archrouter.workbench.formats import duration, p_value, percent, percent_range, points, points_range

_PRINTED_PAIRS = 5  # the report has more, with their descriptions


def print_report(report: Report) -> None:
    """Print the tables of a run."""
    _print_settings(report)
    _print_scenarios(report)
    if report.reliability is not None:
        _print_reliability(report.reliability)
    for pair in report.confused[:_PRINTED_PAIRS]:
        click.echo(f"{pair.policy_set}: {pair.finding}")
    if report.robustness:
        _print_robustness(report.robustness)
    if report.latency is not None:
        timing = report.latency
        resumed = f" ({report.resumed_count} from the journal)" if report.resumed_count else ""
        click.echo(
            f"{timing.count} decisions{resumed} in {report.run.wall_s:.1f} s; latency: mean {duration(timing.mean_s)}, "
            f"p50 {duration(timing.p50_s)}, p95 {duration(timing.p95_s)}, p99 {duration(timing.p99_s)}"
        )


def print_comparison(comparison: Comparison, first: str, second: str) -> None:
    """Print the tables of a comparison, with what to call its two runs."""
    for title, groups in (
        ("all", comparison.units),
        ("scenario", comparison.scenarios),
        ("setting", comparison.settings),
    ):
        _print_groups(title, groups)
    click.echo(f"A {first}, B {second}; difference in points, B minus A, with its 95 % interval")
    click.echo("p: exact McNemar test; of scenarios and settings adjusted for their number (Holm)")
    click.echo(f"{comparison.changed_count} of {comparison.both_count} decisions differ")


def _print_settings(report: Report) -> None:
    settings = Table("setting", "turns", "turn", "95 % interval", "span", "conversation", title="Accuracy")
    rows = setting_rows(report.metrics)
    for row in rows:
        cells = (percent(row.turn), percent_range(row.turn_interval), percent(row.span), percent(row.conversation))
        settings.add_row(row.name, str(row.turn_count or ""), *cells, end_section=row is rows[-3])
    print_table(settings)


def _print_scenarios(report: Report) -> None:
    scenarios = Table("scenario", "turns", "turn", "95 % interval", "span")
    for row in scenario_rows(report.metrics):
        cells = (percent(row.turn), percent_range(row.turn_interval), percent(row.span))
        scenarios.add_row(row.name, str(row.turn_count), *cells)
    print_table(scenarios)
    averages = Table("average as in the paper", "share", "95 % interval")
    for name, mean in paper_rows(report.paper):
        interval = mean.interval if mean else None
        averages.add_row(name, percent(mean.value if mean else None), percent_range(interval))
    print_table(averages)


def _print_reliability(figures: Reliability) -> None:
    quoted = figures.at_quoted_coverage
    click.echo(
        f"confidence: calibration error {figures.expected_calibration_error:.3f} ({BIN_COUNT} bins of equal width), "
        f"Brier score {figures.brier_score:.3f}, {percent(1 - quoted.risk)} right among the surest "
        f"{percent(quoted.coverage)}"
    )


def _print_robustness(variants: Iterable[Robustness]) -> None:
    columns = ("routes", "turns", "changed", "plain", "variant", "difference", "95 % interval", "p")
    table = Table("variant", *columns, title="Robustness")
    for one in variants:
        table.add_row(
            one.name,
            f"{one.mean_route_count:.0f}",
            str(one.accuracy.count),
            percent(one.changed_share),
            percent(one.accuracy.first),
            percent(one.accuracy.second),
            points(one.accuracy.difference),
            points_range(one.accuracy.interval),
            p_value(one.accuracy.p_value),
        )
    print_table(table)


def _print_groups(title: str, groups: Iterable[ComparedGroup]) -> None:
    table = Table(title, "count", "A", "B", "difference", "95 % interval", "only A right", "only B right", "p")
    for group in groups:
        figures = group.paired
        table.add_row(
            group.name,
            str(figures.count),
            percent(figures.first),
            percent(figures.second),
            points(figures.difference),
            points_range(figures.interval),
            str(figures.only_first_right),
            str(figures.only_second_right),
            p_value(group.p_value),
        )
    print_table(table)
