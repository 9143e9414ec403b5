"""What a run says."""

import json
from dataclasses import replace
from pathlib import Path

import grpc
from tests.support.eval_reports import RUN, small_report
from tests.support.scored_turns import scored

from archrouter.evaluation.comparison import compare, robustness
from archrouter.evaluation.prediction import Prediction
from archrouter.evaluation.report import (
    failure_counts,
    paper_rows,
    prediction_records,
    scenario_rows,
    setting_rows,
    worst_predictions,
)
from archrouter.evaluation.summary import comparison_summary, summary
from archrouter.suites.calls import Failure

REFUSED = Failure(grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL", "no luck")


def test_rows_list_settings_totals_and_scenarios(tmp_path: Path) -> None:
    """A table has a row for each setting, two totals, and a row for each scenario."""
    report = small_report(tmp_path, Prediction("code_write", 0.9, 0.1), Prediction("code", 0.4, 0.3))

    assert [("talk", 0.5, 0.5, 0.0), ("micro", 0.5, 0.5, 0.0), ("macro", 0.5, 0.5, 0.0)] == [
        (row.name, row.turn, row.span, row.conversation) for row in setting_rows(report.metrics)
    ]
    assert [("fQfA", 1.0), ("Irrelevance", 0.0)] == [(row.name, row.turn) for row in scenario_rows(report.metrics)]


def test_paper_rows_follow_the_tables(tmp_path: Path) -> None:
    """Scenarios that the dataset has come first, then the averages over units."""
    report = small_report(tmp_path, Prediction("code_write", 0.9, 0.1), Prediction("code", 0.4, 0.3))

    assert [
        ("fQfA", 1.0),
        ("Irrelevance", 0.0),
        ("turn", 0.5),
        ("span", 0.5),
        ("conversation", 0.0),
        ("overall", (0.5 + 0.5 + 0.0) / 3),
    ] == [(name, mean and mean.value) for name, mean in paper_rows(report.paper)]


def test_predictions_leave_failed_calls_out(tmp_path: Path) -> None:
    """The predictions file holds decisions only, in the benchmark's form."""
    report = small_report(tmp_path, REFUSED, Prediction("other", 0.9, 0.1))

    assert [{"id": "talk-1", "turn": 2, "route": "other", "confidence": 0.9}] == list(prediction_records(report))


def test_worst_predictions_are_the_surest_mistakes(tmp_path: Path) -> None:
    """Wrong decisions come by confidence; right ones and failures are no mistakes."""
    both_wrong = small_report(tmp_path, Prediction("code", 0.4, 0.1), Prediction("code", 0.9, 0.1))
    one_wrong = small_report(tmp_path, REFUSED, Prediction("code", 0.9, 0.1))

    assert [0.9, 0.4] == [decided.confidence for _, decided in worst_predictions(both_wrong, 5)]
    assert [0.9] == [decided.confidence for _, decided in worst_predictions(both_wrong, 1)]
    assert [2] == [result.label.turn for result, _ in worst_predictions(one_wrong, 5)]


def test_summary_is_json_and_names_every_failure(tmp_path: Path) -> None:
    """The summary survives JSON and lists each failed call beside the figures it lowered."""
    report = small_report(tmp_path, REFUSED, Prediction("other", 0.9, 0.1))

    document = json.loads(json.dumps(summary(report), allow_nan=False))

    assert {"settings": 1, "conversations": 1, "turns": 2, "failed_calls": 1} == document["counts"]
    assert {"right": 1, "total": 2, "share": 0.5, "interval": [0.5, 0.5]} == document["settings"]["talk"]["turn"]
    assert {"right": 0, "total": 1, "share": 0.0, "interval": [0.0, 0.0]} == (
        document["total"]["micro"]["conversation"]
    )
    assert {"turn": 0.5, "span": 0.5, "conversation": 0.0} == document["total"]["macro"]
    assert {"share": 0.3333, "interval": [0.3333, 0.3333]} == document["paper"]["averages"]["overall"]
    assert 1 == document["latency"]["count"]
    assert [
        {"id": "talk-1", "turn": 0, "code": "INTERNAL", "reason": "ERROR_REASON_INTERNAL", "message": "no luck"}
    ] == document["failures"]


def test_summary_says_how_it_came_about(tmp_path: Path) -> None:
    """Model, service, dataset, time and seed are in the document, so that figures can be made again."""
    document = summary(small_report(tmp_path, REFUSED, REFUSED))

    assert {
        "dataset": "made-up",
        "service_version": "9.8.7",
        "model_version": "sha256:0",
        "tier": "compact",
        "started": "2025-06-19T12:30:00+00:00",
        "seed": 1,
        "resumed_turns": 0,
    } == document["run"]


def test_summary_has_calibration_confusions_and_robustness(tmp_path: Path) -> None:
    """The figures about confidence, the confused pairs and the variants are there, with their counts."""
    report = small_report(tmp_path, Prediction("code", 0.75, 0.1), Prediction("other", 1.0, 0.1))
    variant = robustness("typos", 2.0, scored("ab", "ab"), scored("ab", "aa"))

    document = json.loads(json.dumps(summary(replace(report, robustness=(variant,))), allow_nan=False))

    calibration = document["calibration"]
    assert (2, 15) == (calibration["count"], calibration["bin_count"])
    assert 0.2812 == calibration["brier_score"]
    assert {"coverage": 1.0, "risk": 0.5, "threshold": 0.75, "accuracy": 0.5} == calibration["at_80_percent_coverage"]
    assert (
        "these two policies overlap: code and code_write: 1 x code_write predicted as code"
        == (document["confused"][0]["finding"])
    )
    (row,) = document["robustness"]
    assert {"count": 1, "total": 2, "share": 0.5} == row["changed"]
    assert (-0.5, 1.0) == (row["accuracy"]["difference"], row["accuracy"]["p_value"])


def test_summary_without_any_decision_has_no_latency(tmp_path: Path) -> None:
    """Where every call failed there is neither latency nor calibration, and the causes are counted."""
    unreachable = Failure(grpc.StatusCode.UNAVAILABLE, "", "connection refused")
    report = small_report(tmp_path, unreachable, unreachable)

    document = summary(report)

    assert (None, None) == (document["latency"], document["calibration"])
    assert [("UNAVAILABLE", 2)] == failure_counts(report)


def test_comparison_summary_is_json() -> None:
    """The comparison survives JSON, with counts, shares and p-values by name."""
    comparison = compare(scored("ab", "ab"), scored("ab", "a-"))
    assert comparison is not None

    document = json.loads(json.dumps(comparison_summary(comparison), allow_nan=False))

    assert {"turns": 2, "only_first": 1, "only_second": 0, "both": 1, "changed": 0} == document["counts"]
    assert {
        "count": 2,
        "first": 1.0,
        "second": 0.5,
        "difference": -0.5,
        "interval": [-0.5, -0.5],
        "only_first_right": 1,
        "only_second_right": 0,
        "p_value": 1.0,
    } == document["settings"]["s"]


def test_limit_and_concurrency_stay_at_the_top(tmp_path: Path) -> None:
    """Readers of earlier summaries find them where they were."""
    report = replace(small_report(tmp_path, REFUSED, REFUSED), run=replace(RUN, limit=7))

    document = summary(report)

    assert (7, 4) == (document["limit"], document["concurrency"])
