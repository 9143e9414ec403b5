"""The calibration's command line, up to where it needs scikit-learn or a server, and its decisions."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from engine.calibrate.__main__ import main
from engine.calibrate.decisions import LabelledDecision

from archrouter.domain.posterior import Calibration, posterior_from_scores


def make_decision(*probabilities: float, right: int = 0) -> LabelledDecision:
    """Make a decision over ``a``, ``b`` … with the given posterior."""
    candidates = tuple("abcdefgh"[: len(probabilities)])
    posterior = posterior_from_scores(np.log(np.array(probabilities, np.float32)))
    return LabelledDecision("c", 4, candidates, posterior, right)


def test_a_decision_is_scored_by_its_leader() -> None:
    """As the service decides while thresholds are 0, and as ``archrouter eval`` reports it."""
    right, wrong = (make_decision(0.2, 0.7, 0.1, right=index).scored(Calibration()) for index in (1, 0))

    assert ("b", "b", True) == (right.expected, right.predicted, right.is_right)
    assert ("a", "b", False) == (wrong.expected, wrong.predicted, wrong.is_right)
    assert pytest.approx(0.7) == right.confidence == wrong.confidence


def test_log_loss_is_of_the_right_candidate_after_calibration() -> None:
    """A high temperature makes all equal."""
    decision = make_decision(0.8, 0.1, 0.1, right=1)

    assert pytest.approx(-math.log(0.1), abs=1e-6) == decision.log_loss(Calibration())
    assert pytest.approx(math.log(3), abs=1e-3) == decision.log_loss(Calibration(1e6))


def test_log_loss_is_finite_where_the_right_candidate_is_impossible() -> None:
    """One decision cannot make every figure infinite."""
    posterior = posterior_from_scores(np.array([0.0, -1e30], np.float32))

    loss = LabelledDecision("c", 0, ("a", "b"), posterior, 1).log_loss(Calibration())

    assert 700 < loss < 710


def test_without_scikit_learn_it_could_not_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The remedy is a make target."""
    monkeypatch.setitem(sys.modules, "engine.calibrate.choice", None)

    assert 3 == main(["--endpoint", "h:1", "--bundle", str(tmp_path), "--records", str(tmp_path)])
    assert "make .venv-build/.ready-build" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"), [("--folds", "1"), ("--concurrency", "0"), ("--max-calibration-error", "2")]
)
def test_a_value_out_of_range_is_refused_with_its_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str, value: str
) -> None:
    """Status 2 before anything is read."""
    with pytest.raises(SystemExit) as ended:
        main(["--endpoint", "h:1", "--bundle", str(tmp_path), "--records", str(tmp_path), option, value])

    assert 2 == ended.value.code
    assert option in capsys.readouterr().err


def test_help_has_examples_and_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    """The help needs neither scikit-learn nor a server."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    text = capsys.readouterr().out
    assert 0 == ended.value.code
    assert "python -m engine.calibrate --endpoint" in text
    assert "3 could not run" in text
