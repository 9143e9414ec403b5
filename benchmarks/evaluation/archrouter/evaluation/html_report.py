"""A run as one HTML page that needs nothing else: no script, no network, no file beside it."""

from collections.abc import Iterable
from dataclasses import dataclass

from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.evaluation import charts
from archrouter.evaluation.confusion import ConfusedPair
from archrouter.evaluation.dataset import Dataset
from archrouter.evaluation.prediction import Prediction
from archrouter.evaluation.reliability import BIN_COUNT
from archrouter.evaluation.report import (
    Report,
    failure_counts,
    paper_rows,
    scenario_rows,
    setting_rows,
    worst_predictions,
)
from archrouter.evaluation.runner import TurnResult
from archrouter.evaluation.shapes import Plot, RowChart
from archrouter.evaluation.significance import RESAMPLE_COUNT
from archrouter.evaluation.turns import Scenario, Share
from archrouter.workbench.formats import shortened
from archrouter.workbench.pages import page_environment

WORST_COUNT = 20
_TOTAL_ROW_COUNT = 2


@dataclass(frozen=True, slots=True)
class _Overlap:
    """A confused pair with the descriptions its author would have to tell apart."""

    pair: ConfusedPair
    descriptions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Mistake:
    """A wrong decision."""

    conversation_id: str
    turn: int
    message: str
    expected: str
    predicted: str
    confidence: float


@dataclass(frozen=True, slots=True)
class _SourceRow:
    """A source's shares in the order of the columns of the paper's tables; None where it has none."""

    source: str
    shares: tuple[Share | None, ...]


def render_html(report: Report, dataset: Dataset) -> str:
    """Write the page.

    What comes from the dataset or the service is escaped, messages of wrong decisions are shortened, and the page's
    own policy forbids scripts and loading.
    """
    environment = page_environment("archrouter.evaluation")
    rows = setting_rows(report.metrics)
    columns = sorted({(column.scenario, column.unit) for column in report.paper.columns}, key=_column_order)
    return environment.get_template("report.html").render(
        report=report,
        run=report.run,
        rows=rows,
        total_row_count=_TOTAL_ROW_COUNT,
        scenario_rows=scenario_rows(report.metrics),
        paper_rows=paper_rows(report.paper),
        source_headings=["source", *(f"{scenario} {unit}" for scenario, unit in columns)],
        source_rows=list(_source_rows(report, columns)),
        failure_counts=failure_counts(report),
        overlaps=[_overlap(pair, dataset.policy_sets[pair.policy_set]) for pair in report.confused],
        mistakes=[_mistake(result, decided) for result, decided in worst_predictions(report, WORST_COUNT)],
        bin_count=BIN_COUNT,
        resample_count=RESAMPLE_COUNT,
        **_charts(report),
    )


def _charts(report: Report) -> dict[str, Plot | RowChart | None]:
    accuracy = [charts.Figure(row.name, row.turn, row.turn_interval) for row in setting_rows(report.metrics)]
    variants = [
        charts.Figure(variant.name, variant.accuracy.second, None, variant.accuracy.first)
        for variant in report.robustness
    ]
    drawn: dict[str, Plot | RowChart | None] = {
        "accuracy_chart": charts.row_chart("Turn accuracy with 95 % intervals, by setting", accuracy),
        "robustness_chart": charts.row_chart("Turn accuracy of each variant", variants) if variants else None,
        "reliability_plot": None,
        "risk_coverage_plot": None,
        "latency_plot": None,
    }
    if report.reliability is not None:
        drawn["reliability_plot"] = charts.reliability_plot(report.reliability)
        drawn["risk_coverage_plot"] = charts.risk_coverage_plot(report.reliability)
    if report.latency is not None:
        durations_s = [decided.duration_s for _, decided in report.predictions]
        marks = [("p50", report.latency.p50_s), ("p95", report.latency.p95_s)]
        drawn["latency_plot"] = charts.latency_plot(durations_s, marks)
    return drawn


def _column_order(column: tuple[str, str]) -> tuple[int, int]:
    scenario, unit = column
    return [one.value for one in Scenario].index(scenario), ["turn", "span", "conversation"].index(unit)


def _source_rows(report: Report, columns: Iterable[tuple[str, str]]) -> Iterable[_SourceRow]:
    shares = {(column.source, column.scenario, column.unit): share for column, share in report.paper.columns.items()}
    for source in sorted({source for source, _, _ in shares}):
        yield _SourceRow(source, tuple(shares.get((source, *column)) for column in columns))


def _overlap(pair: ConfusedPair, policy_set: PolicySet) -> _Overlap:
    routes = [policy_set.route(route_id) for route_id in (pair.first, pair.second) if route_id != NO_MATCH_ID]
    return _Overlap(pair, tuple((route.id, shortened(route.description)) for route in routes if route))


def _mistake(result: TurnResult, decided: Prediction) -> _Mistake:
    return _Mistake(
        conversation_id=result.conversation.id,
        turn=result.label.turn,
        message=shortened(result.conversation.messages[result.label.turn].content),
        expected=result.label.route,
        predicted=decided.route,
        confidence=decided.confidence,
    )
