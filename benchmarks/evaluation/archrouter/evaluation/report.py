"""What a run says: every figure about it, and rows for tables."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from archrouter.evaluation.comparison import Robustness
from archrouter.evaluation.confusion import ConfusedPair, confused_pairs
from archrouter.evaluation.dataset import Dataset
from archrouter.evaluation.metrics import Accuracy, Latency, Metrics, latency, measure
from archrouter.evaluation.paper import Mean, PaperAverages, paper_averages
from archrouter.evaluation.prediction import Prediction
from archrouter.evaluation.reliability import Reliability, reliability
from archrouter.evaluation.runner import TurnResult, scored_turns
from archrouter.evaluation.significance import Interval
from archrouter.suites.calls import Failure


@dataclass(frozen=True, slots=True)
class Run:
    """How the figures came about.

    Attributes:
        dataset_name: Name of the benchmark folder.
        service_version: Release of the service.
        model_version: Model that decided.
        tier: Kind of that model.
        started: When the run began, with its time zone.
        wall_s: How long the plain run took, in seconds; decisions of an earlier run took no time.
        limit: Conversations of each setting at most; None for all.
        concurrency: Calls in flight.
        seed: Of the robustness runs.
    """

    dataset_name: str
    service_version: str
    model_version: str
    tier: str
    started: datetime
    wall_s: float
    limit: int | None
    concurrency: int
    seed: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: A setting, a scenario, or a total.
        turn_count: Labelled turns; 0 for a mean.
        turn: Turn accuracy in [0, 1].
        turn_interval: Ends of its 95 % interval; None where there is none. The others alike.
        span: Span accuracy in [0, 1]; None where it would only repeat `turn`.
        span_interval: Of the span accuracy.
        conversation: Conversation accuracy in [0, 1]; None as for `span`, and for a scenario.
        conversation_interval: Of the conversation accuracy.
    """

    name: str
    turn_count: int
    turn: float
    turn_interval: Interval | None = None
    span: float | None = None
    span_interval: Interval | None = None
    conversation: float | None = None
    conversation_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about one run.

    Attributes:
        run: How it came about.
        metrics: The accuracy figures; failed calls count as wrong.
        paper: The averages of the paper's tables.
        reliability: The figures about confidence; None when no call gave a decision.
        confused: The pairs of routes confused most.
        robustness: One for each variant that was run.
        latency: How long the calls took; None when no call gave a decision.
        results: One for each labelled turn.
        conversation_count: Conversations asked about.
    """

    run: Run
    metrics: Metrics
    paper: PaperAverages
    reliability: Reliability | None
    confused: tuple[ConfusedPair, ...]
    robustness: tuple[Robustness, ...]
    latency: Latency | None
    results: tuple[TurnResult, ...]
    conversation_count: int

    @property
    def failures(self) -> list[tuple[TurnResult, Failure]]:
        """The turns whose call failed, in the order of the dataset."""
        return [(result, result.answer) for result in self.results if isinstance(result.answer, Failure)]

    @property
    def predictions(self) -> list[tuple[TurnResult, Prediction]]:
        """The turns with a decision, in the order of the dataset."""
        return _decided(self.results)

    @property
    def resumed_count(self) -> int:
        """Turns whose decision is from the journal of an earlier run."""
        return sum(result.is_resumed for result in self.results)

    @property
    def failed_variant_call_count(self) -> int:
        """Calls of the robustness runs that failed."""
        return sum(variant.failed_count for variant in self.robustness)


def make_report(
    dataset: Dataset, results: tuple[TurnResult, ...], run: Run, robustness: Iterable[Robustness] = ()
) -> Report:
    """Count what came of a run; there is at least one result."""
    turns = scored_turns(dataset, results)
    return Report(
        run=run,
        metrics=measure(turns),
        paper=paper_averages(turns),
        reliability=reliability(turns),
        confused=confused_pairs(turns),
        robustness=tuple(robustness),
        latency=latency([prediction.duration_s for _, prediction in _decided(results)]),
        results=results,
        conversation_count=len(dataset.conversations),
    )


def setting_rows(metrics: Metrics) -> list[Row]:
    """List the settings, then two totals: all turns pooled (micro), and the mean over settings (macro)."""
    macro = metrics.macro
    return [
        *(_row(setting, accuracy) for setting, accuracy in metrics.settings.items()),
        _row("micro", metrics.micro),
        Row("macro", 0, macro.turn, span=macro.span, conversation=macro.conversation),
    ]


def scenario_rows(metrics: Metrics) -> list[Row]:
    """List the scenarios that have a turn."""
    return [
        Row(
            scenario.value,
            figures.turn.total,
            figures.turn.value,
            figures.turn_interval,
            figures.span.value,
            figures.span_interval,
        )
        for scenario, figures in metrics.scenarios.items()
    ]


def paper_rows(averages: PaperAverages) -> list[tuple[str, Mean | None]]:
    """List the averages in the order of the paper's tables 2 and 1; None where a mean does not apply."""
    return [
        *((scenario.value, mean) for scenario, mean in averages.scenarios.items()),
        ("turn", averages.turn),
        ("span", averages.span),
        ("conversation", averages.conversation),
        ("overall", averages.overall),
    ]


def prediction_records(report: Report) -> Iterator[dict[str, object]]:
    """List ``id``, ``turn``, ``route`` and ``confidence`` of each decision; failed calls are in the summary."""
    for result, prediction in report.predictions:
        yield {
            "id": result.conversation.id,
            "turn": result.label.turn,
            "route": prediction.route,
            "confidence": prediction.confidence,
        }


def worst_predictions(report: Report, count: int) -> list[tuple[TurnResult, Prediction]]:
    """Find the wrong decisions that were surest, the most confident first."""
    wrong = [(result, decided) for result, decided in report.predictions if decided.route != result.label.route]
    return sorted(wrong, key=lambda one: -one[1].confidence)[:count]


def failure_counts(report: Report) -> Sequence[tuple[str, int]]:
    """Count the failed calls by reason, or by code where the service gave none; most frequent first."""
    return Counter(failure.cause for _, failure in report.failures).most_common()


def _decided(results: Iterable[TurnResult]) -> list[tuple[TurnResult, Prediction]]:
    return [(result, result.answer) for result in results if isinstance(result.answer, Prediction)]


def _row(name: str, accuracy: Accuracy) -> Row:
    row = Row(name, accuracy.turn.total, accuracy.turn.value, accuracy.turn_interval)
    if not accuracy.is_multi_turn:
        return row
    return Row(
        row.name,
        row.turn_count,
        row.turn,
        row.turn_interval,
        accuracy.span.value,
        accuracy.span_interval,
        accuracy.conversation.value,
        accuracy.conversation_interval,
    )
