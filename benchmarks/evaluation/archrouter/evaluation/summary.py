"""A run, and a comparison of two, as JSON documents: shares in [0, 1], durations in seconds, null where nothing is."""

from collections.abc import Sequence
from dataclasses import asdict

from archrouter.evaluation.comparison import ComparedGroup, Comparison, Robustness
from archrouter.evaluation.confusion import ConfusedPair
from archrouter.evaluation.metrics import Accuracy, MacroAccuracy, ScenarioAccuracy
from archrouter.evaluation.paper import PaperAverages
from archrouter.evaluation.reliability import BIN_COUNT, CoveragePoint, Reliability
from archrouter.evaluation.report import Report, Run, paper_rows
from archrouter.evaluation.runner import TurnResult
from archrouter.evaluation.significance import CONFIDENCE_LEVEL, Interval, Paired
from archrouter.evaluation.turns import Share
from archrouter.suites.calls import Failure

_SHARE_DIGITS = 4  # a share of some thousand turns has no more than that to say
_SECOND_DIGITS = 6


def summary(report: Report) -> dict[str, object]:
    """Write the run as one JSON document; a figure that does not apply is null."""
    metrics, run = report.metrics, report.run
    timing = report.latency and asdict(report.latency)
    return {
        "run": _run(run) | {"resumed_turns": report.resumed_count},
        "counts": {
            "settings": len(metrics.settings),
            "conversations": report.conversation_count,
            "turns": len(report.results),
            "failed_calls": len(report.failures),
        },
        "total": {"micro": _accuracy(metrics.micro), "macro": _means(metrics.macro)},
        "scenarios": {scenario.value: _scenario(figures) for scenario, figures in metrics.scenarios.items()},
        # Spans and conversations of the totals are theirs; in the other settings they would only repeat the turns.
        "multi_turn_settings": [setting for setting, accuracy in metrics.settings.items() if accuracy.is_multi_turn],
        "settings": {setting: _accuracy(accuracy) for setting, accuracy in metrics.settings.items()},
        "paper": _paper(report.paper),
        "calibration": report.reliability and _reliability(report.reliability),
        "confused": [_confused(pair) for pair in report.confused],
        "robustness": [_robustness(variant) for variant in report.robustness],
        "confidence_level": CONFIDENCE_LEVEL,
        "wall_s": round(run.wall_s, _SECOND_DIGITS),
        "latency": timing and {name: round(value, _SECOND_DIGITS) for name, value in timing.items()},
        "failures": [_failure(result, failure) for result, failure in report.failures],
        "limit": run.limit,
        "concurrency": run.concurrency,
    }


def comparison_summary(comparison: Comparison) -> dict[str, object]:
    """Write a comparison as one JSON document."""
    return {
        "counts": {
            "turns": comparison.turn_count,
            "only_first": comparison.only_first_count,
            "only_second": comparison.only_second_count,
            "both": comparison.both_count,
            "changed": comparison.changed_count,
        },
        "units": _groups(comparison.units),
        "scenarios": _groups(comparison.scenarios),
        "settings": _groups(comparison.settings),
        "confidence_level": CONFIDENCE_LEVEL,
    }


def _run(run: Run) -> dict[str, object]:
    return {
        "dataset": run.dataset_name,
        "service_version": run.service_version,
        "model_version": run.model_version,
        "tier": run.tier,
        "started": run.started.isoformat(timespec="seconds"),
        "seed": run.seed,
    }


def _accuracy(accuracy: Accuracy) -> dict[str, object]:
    return {
        "turn": _share(accuracy.turn) | _ends(accuracy.turn_interval),
        "span": _share(accuracy.span) | _ends(accuracy.span_interval),
        "conversation": _share(accuracy.conversation) | _ends(accuracy.conversation_interval),
    }


def _means(means: MacroAccuracy) -> dict[str, object]:
    return {
        "turn": _rounded(means.turn),
        "span": _rounded(means.span),
        "conversation": _rounded(means.conversation),
    }


def _scenario(figures: ScenarioAccuracy) -> dict[str, object]:
    return {
        "turn": _share(figures.turn) | _ends(figures.turn_interval),
        "span": _share(figures.span) | _ends(figures.span_interval),
        "macro_turn": _rounded(figures.macro_turn),
    }


def _paper(averages: PaperAverages) -> dict[str, object]:
    return {
        "averages": {
            name: mean and ({"share": _rounded(mean.value)} | _ends(mean.interval))
            for name, mean in paper_rows(averages)
        },
        "columns": [asdict(column) | _share(share) for column, share in averages.columns.items()],
    }


def _reliability(figures: Reliability) -> dict[str, object]:
    return {
        "count": figures.count,
        "mean_confidence": _rounded(figures.mean_confidence),
        "expected_calibration_error": _rounded(figures.expected_calibration_error),
        "bin_count": BIN_COUNT,
        "brier_score": _rounded(figures.brier_score),
        "area_under_risk_coverage": _rounded(figures.area_under_risk_coverage),
        "at_80_percent_coverage": _point(figures.at_quoted_coverage)
        | {"accuracy": _rounded(1 - figures.at_quoted_coverage.risk)},
        "bins": [{name: round(value, _SHARE_DIGITS) for name, value in asdict(one).items()} for one in figures.bins],
        "risk_coverage": [_point(point) for point in figures.curve],
    }


def _point(point: CoveragePoint) -> dict[str, object]:
    return {name: round(value, _SHARE_DIGITS) for name, value in asdict(point).items()}


def _confused(pair: ConfusedPair) -> dict[str, object]:
    return asdict(pair) | {"finding": pair.finding}


def _robustness(variant: Robustness) -> dict[str, object]:
    return {
        "name": variant.name,
        "mean_route_count": round(variant.mean_route_count, 1),
        "changed": {
            "count": variant.changed_count,
            "total": variant.decided_count,
            "share": _rounded(variant.changed_share),
        },
        "accuracy": _paired(variant.accuracy),
        "failed_calls": variant.failed_count,
    }


def _groups(groups: Sequence[ComparedGroup]) -> dict[str, object]:
    return {group.name: _paired(group.paired) | {"p_value": group.p_value} for group in groups}


def _paired(figures: Paired) -> dict[str, object]:
    return {
        "count": figures.count,
        "first": _rounded(figures.first),
        "second": _rounded(figures.second),
        "difference": _rounded(figures.difference),
        **_ends(figures.interval),
        "only_first_right": figures.only_first_right,
        "only_second_right": figures.only_second_right,
        "p_value": figures.p_value,
    }


def _failure(result: TurnResult, failure: Failure) -> dict[str, object]:
    return {
        "id": result.conversation.id,
        "turn": result.label.turn,
        "code": failure.code.name,
        "reason": failure.reason,
        "message": failure.message,
    }


def _share(share: Share) -> dict[str, object]:
    value = _rounded(share.value) if share.total else None
    return {"right": share.right, "total": share.total, "share": value}


def _ends(interval: Interval | None) -> dict[str, object]:
    return {"interval": interval and [_rounded(end) for end in interval]}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _SHARE_DIGITS)
