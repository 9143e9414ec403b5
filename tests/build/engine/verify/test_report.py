"""The report and the judgements it is made of."""

import json
from pathlib import Path

import numpy as np
from engine.verify.agreement import Comparison, check_agreement
from engine.verify.behaviour import Burst, judge_overload, judge_queue_full
from engine.verify.endpoint import Refusal
from engine.verify.logits import judge_parallel
from engine.verify.report import Check, Report, Thresholds, Verdict

from archrouter.domain.errors import ArchRouterError, BackendUnavailableError, OverloadedError

PASSED = Check("one", Verdict.PASS, "1 | 2", "2")
FAILED = Check("two", Verdict.FAIL, "3", "4", "do this", {"value": 3})
SKIPPED = Check("three", Verdict.NOT_APPLICABLE, "not run", "")


def make_report(*checks: Check) -> Report:
    """Make a report of the given checks."""
    return Report("h:1", "m", "sha256:aa", "tiny", "sha256:bb", 5, ["home turn 0"], Thresholds(), checks)


def test_a_report_passes_unless_a_check_fails() -> None:
    """A check that does not apply is no failure."""
    assert make_report(PASSED, SKIPPED).passed
    assert not make_report(PASSED, FAILED).passed


def test_the_table_has_a_row_for_each_check_and_a_remedy_for_each_failure() -> None:
    """A bar inside a cell does not end it."""
    text = make_report(PASSED, FAILED).markdown()

    assert "| one | pass | 1 \\| 2 | 2 |" in text
    assert "| two | fail | 3 | 4 |" in text
    assert "- two: do this" in text
    assert "FAILED" in text
    assert "questions: 5, 1 left out" in text


def test_both_forms_are_written_and_nothing_else(tmp_path: Path) -> None:
    """The JSON holds what the table says, and the figures."""
    make_report(PASSED, FAILED).write(tmp_path / "out")

    document = json.loads((tmp_path / "out" / "verify.json").read_text())
    assert ["verify.json", "verify.md"] == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert not document["passed"]
    assert ["pass", "fail"] == [check["verdict"] for check in document["checks"]]
    assert {"value": 3} == document["checks"][1]["figures"]
    assert 0.99 == document["thresholds"]["min_route_agreement"]


def comparison(*, agrees: bool, difference: float) -> Comparison:
    """Compare one question."""
    return Comparison("c turn 0", "a", "a" if agrees else "b", difference, 0)


def test_agreement_is_judged_by_the_thresholds() -> None:
    """Three of four routes and 0.285 for 95 %: enough for one, too much for another."""
    comparisons = [comparison(agrees=index > 0, difference=index / 10) for index in range(4)]

    lenient = check_agreement(comparisons, Thresholds(0.75, 0.29))
    strict = check_agreement(comparisons, Thresholds(0.76, 0.28))

    assert (Verdict.PASS, Verdict.PASS) == tuple(check.verdict for check in lenient)
    assert (Verdict.FAIL, Verdict.FAIL) == tuple(check.verdict for check in strict)
    assert "3 of 4 questions (75.0%)" == strict[0].measured
    assert "0.28 for 95% of 4 questions, 0.3 at most" == strict[1].measured


def test_rounding_in_bfloat16_is_no_disagreement() -> None:
    """Logits of 16 to 32 step by 0.125 in bfloat16: probabilities that are 0.06 off are those of a healthy endpoint."""
    healthy = [comparison(agrees=True, difference=0.05) for _ in range(99)] + [comparison(agrees=True, difference=0.1)]
    other = [comparison(agrees=True, difference=0.2 * (index % 2)) for index in range(100)]

    assert Verdict.PASS is check_agreement(healthy, Thresholds())[1].verdict
    assert Verdict.FAIL is check_agreement(other, Thresholds())[1].verdict


def test_rows_that_rounding_moves_are_the_same_and_rows_of_others_are_not() -> None:
    """Two steps of 0.125 pass, also where they change the leader of a tie; a row of another request does not."""
    row = np.array([24.0, 23.875, 10.0, 9.0], np.float32)
    rounded = row + np.array([-0.125, 0.125, 0.25, 0.0], np.float32)
    clear = np.array([24.0, 20.0, 10.0, 9.0], np.float32)

    assert Verdict.PASS is judge_parallel([(row, rounded)] * 64, Thresholds()).verdict
    assert Verdict.FAIL is judge_parallel([(row, rounded)] * 63 + [(clear, clear[::-1].copy())], Thresholds()).verdict
    assert Verdict.NOT_APPLICABLE is judge_parallel([], Thresholds()).verdict


TRITON = Refusal("UNAVAILABLE", "[request id: 1] Exceeds maximum queue size")
EXECUTOR = Refusal("INTERNAL", "Maximum queue size of 256 has been reached, please try again later")


def burst(*refusals: tuple[Refusal, type[ArchRouterError]], answered: int = 3, hung: int = 0) -> Burst:
    """Make a burst."""
    return Burst(len(refusals) + answered + hung, answered, hung, refusals, 1.0)


def test_both_servers_words_for_a_full_queue_are_known() -> None:
    """Each with the domain error the service makes of it."""
    good = burst((TRITON, BackendUnavailableError), (EXECUTOR, OverloadedError))

    assert Verdict.PASS is judge_overload(good).verdict
    assert Verdict.PASS is judge_queue_full(good).verdict
    assert ["TensorRT-LLM's executor", "Triton's own queue"] == judge_queue_full(good).figures["servers"]


def test_a_refusal_the_service_takes_for_something_else_fails() -> None:
    """The words are known, the error is not the one the map promises."""
    check = judge_queue_full(burst((EXECUTOR, BackendUnavailableError)))

    assert Verdict.FAIL is check.verdict
    assert check.measured.endswith("became BackendUnavailableError")


def test_words_that_say_nothing_of_a_queue_fail() -> None:
    """Out of memory is no overload control."""
    odd = burst((Refusal("INTERNAL", "CUDA out of memory"), BackendUnavailableError))

    assert Verdict.FAIL is judge_overload(odd).verdict
    assert "CUDA out of memory" in judge_overload(odd).measured
    assert Verdict.FAIL is judge_queue_full(odd).verdict


def test_a_burst_must_be_refused_in_part_and_answered_in_part() -> None:
    """All answered: no bound. All refused: no service. One hanging: no bound in time."""
    refused = (TRITON, BackendUnavailableError)

    assert Verdict.FAIL is judge_overload(burst()).verdict
    assert Verdict.FAIL is judge_overload(burst(refused, answered=0)).verdict
    assert Verdict.FAIL is judge_overload(burst(refused, hung=1)).verdict
    assert Verdict.NOT_APPLICABLE is judge_queue_full(burst()).verdict
