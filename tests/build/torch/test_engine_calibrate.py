"""Calibrating: the fits on made-up decisions, and the whole program on the toy engine. Needs the extra `build`."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
import pytest_asyncio
from engine.calibrate.__main__ import main
from engine.calibrate.choice import MIN_DECISIONS, choose, fit_isotonic, fit_temperature
from engine.calibrate.decisions import Choice, LabelledDecision
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_checkpoint.corpus import load_world, make_example
from tiny_checkpoint.labelled import record_of, write_records

from archrouter.application.router import decision_warnings
from archrouter.bundles.calibration_file import CalibrationFile
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.manifest import BundleError
from archrouter.bundles.probe import probe_requests
from archrouter.domain.posterior import posterior_from_scores
from archrouter.domain.scoring import ScoringRequest
from archrouter.domain.warnings import WarningCode
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.triton_client import TritonClient

CANDIDATES = ("a", "b", "c", "other")


def quiet(_doing: str, _done: int, _total: int) -> None:
    """Tell nobody."""


def made_up(count: int, seed: int, *, overconfidence: float, turns: int = 1) -> list[LabelledDecision]:
    """Draw decisions whose true temperature is known: the right candidate follows the posterior it flattens to."""
    random = np.random.default_rng(seed)
    decisions = []
    for index in range(count):
        truth = random.normal(scale=1.5, size=len(CANDIDATES))
        chances = np.exp(truth) / np.exp(truth).sum()
        right = int(random.choice(len(CANDIDATES), p=chances))
        posterior = posterior_from_scores((truth * overconfidence).astype(np.float32))
        decisions.append(LabelledDecision(f"c{index // turns}", index % turns, CANDIDATES, posterior, right))
    return decisions


def step_shaped(count: int, seed: int) -> list[LabelledDecision]:
    """Draw decisions that are right in half of the cases below a confidence of 0.9 and nearly always above."""
    random = np.random.default_rng(seed)
    decisions = []
    for index in range(count):
        leader = random.uniform(0.5, 1.0)
        is_right = random.random() < (0.97 if leader > 0.9 else 0.5)
        posterior = posterior_from_scores(np.log([leader, *[(1 - leader) / 3] * 3]).astype(np.float32))
        decisions.append(LabelledDecision(f"c{index}", 0, CANDIDATES, posterior, 0 if is_right else 1))
    return decisions


def chosen(decisions: list[LabelledDecision]) -> Choice:
    """Choose with five folds."""
    return choose(decisions, fold_count=5, on_progress=quiet)


@pytest.mark.parametrize("overconfidence", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(overconfidence: float) -> None:
    """Two thousand decisions give it within a tenth."""
    found = fit_temperature(made_up(2000, seed=1, overconfidence=overconfidence)).temperature

    assert pytest.approx(overconfidence, rel=0.1) == found


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 5), st.integers(1, 60))
def test_the_isotonic_fit_always_gives_a_curve_that_is_accepted(seed: int, overconfidence: float, count: int) -> None:
    """Any decisions, also one alone: from 0 to 1, never falling, never certain."""
    decisions = made_up(count, seed, overconfidence=overconfidence)

    isotonic = fit_isotonic(decisions).isotonic

    assert isotonic is not None
    assert 0 < min(isotonic.outputs) <= max(isotonic.outputs) < 1


def test_a_temperature_is_taken_where_it_is_the_truth() -> None:
    """The curve can say nothing that the number does not, so the simpler map wins; both beat none."""
    choice = chosen(made_up(600, seed=3, overconfidence=2.5))

    assert "temperature" == choice.kind
    assert choice.cross_validated["temperature"].log_loss < choice.uncalibrated.log_loss
    assert 600 == choice.calibration.sample_count


def test_the_curve_is_taken_where_no_temperature_fits() -> None:
    """A step in the share of right decisions is beyond any temperature."""
    choice = chosen(step_shaped(800, seed=4))

    errors = {kind: one.confidence.expected_calibration_error for kind, one in choice.cross_validated.items()}
    assert "isotonic" == choice.kind
    assert errors["isotonic"] < errors["temperature"]


def test_the_choice_is_the_same_every_time() -> None:
    """No chance is in it."""
    first, second = (chosen(step_shaped(300, seed=5)) for _ in range(2))

    assert (first.kind, first.calibration, first.reason) == (second.kind, second.calibration, second.reason)


def test_too_few_decisions_or_conversations_are_refused() -> None:
    """One fewer than needed; and four conversations for five parts."""
    with pytest.raises(ValueError, match="199 labelled decisions are too few; 200 are needed"):
        chosen(made_up(MIN_DECISIONS - 1, seed=6, overconfidence=1.0))
    with pytest.raises(ValueError, match="4 conversations cannot be cut into 5 parts"):
        chosen(made_up(MIN_DECISIONS, seed=7, overconfidence=1.0, turns=50))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 200 held-out toy conversations."""
    world, random = load_world(), Random(11)  # noqa: S311  # reproducible data, not a secret
    folder = tmp_path_factory.mktemp("records")
    write_records([record_of(make_example(world, random, heldout=True)) for _ in range(MIN_DECISIONS)], folder)
    return folder


@pytest.fixture
def own_bundle(bundle: PromptBundle, tmp_path: Path) -> Path:
    """Give a copy of the bundle to write into."""
    return Path(shutil.copytree(bundle.directory, tmp_path / "bundle"))


def command(endpoint: str, bundle: Path, records: Path) -> list[str]:
    """Name the engine, its bundle and the data."""
    return [
        *("--endpoint", endpoint, "--model", "reference_lm", "--bundle", str(bundle)),
        *("--records", str(records), "--concurrency", "1"),
    ]


@pytest_asyncio.fixture
async def connection(small_queue_endpoint: str) -> AsyncIterator[TritonClient]:
    """Give a connection of the test's own loop."""
    opened = TritonClient(small_queue_endpoint, max_concurrent_requests=1)
    yield opened
    await opened.close()


async def warnings_of(connection: TritonClient, directory: Path) -> set[WarningCode]:
    """Decide once with a bundle as the service loads it, and collect what the caller is warned of."""
    backend = LanguageModelBackend(connection, "reference_lm", load_bundle(directory))
    await backend.warm_up(timeout_s=60)
    policy_set, conversation = next(probe_requests())
    scoring = await backend.score(ScoringRequest(policy_set, conversation), timeout_s=60)
    return {warning.code for warning in decision_warnings(conversation, scoring, stale=False)}


def test_a_bundle_is_calibrated_through_its_engine(
    small_queue_endpoint: str, own_bundle: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file has its evidence, the service loads it, the report has its pictures; the bundle stays the same one.

    A calibration of another version is there before: the service refuses it and says to calibrate again, so that works.
    """
    version = load_bundle(own_bundle).profile.model_version
    other = {"model_version": "sha256:" + "0" * 64, "temperature": 2.0, "sample_count": 999}
    (own_bundle / "calibration.json").write_text(json.dumps(other))
    with pytest.raises(BundleError, match="calibrate again"):
        load_bundle(own_bundle)
    output = tmp_path / "report"

    status = main([*command(small_queue_endpoint, own_bundle, records), "--output", str(output), "--json"])

    assert 0 == status
    written = CalibrationFile.model_validate_json((own_bundle / "calibration.json").read_bytes())
    profile = load_bundle(own_bundle).profile
    assert (version, MIN_DECISIONS) == (profile.model_version, profile.calibration.sample_count)
    assert written.evidence is not None
    assert (MIN_DECISIONS, 5) == (written.evidence.conversation_count, written.evidence.fold_count)
    before, after = written.evidence.uncalibrated, written.evidence.cross_validated[written.kind]
    assert after.log_loss < before.log_loss
    assert after.brier_score < before.brier_score
    assert written.model_dump(exclude_none=True, mode="json") == json.loads(capsys.readouterr().out)["calibration"]
    assert {"risk_coverage.svg", "reliability_before.svg", "reliability_after.svg"} <= {
        path.name for path in output.iterdir()
    }
    assert f"# Calibration: {written.kind}" in (output / "calibration_report.md").read_text()


async def test_a_decision_of_a_calibrated_bundle_carries_no_warning(connection: TritonClient, own_bundle: Path) -> None:
    """Before the file is there it does."""
    version = load_bundle(own_bundle).profile.model_version
    before = await warnings_of(connection, own_bundle)
    knots = [{"input": 0, "output": 0.1}, {"input": 1, "output": 0.9}]
    content = {"model_version": version, "kind": "isotonic", "knots": knots, "sample_count": 200}
    (own_bundle / "calibration.json").write_text(json.dumps(content))

    assert {WarningCode.CONFIDENCE_UNCALIBRATED} == before - await warnings_of(connection, own_bundle)


def test_a_missed_threshold_writes_the_report_and_no_calibration(
    root: Path,
    own_bundle: Path,
    records: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Status 1 and both figures in the message; with a Triton of the program's own."""
    monkeypatch.chdir(root)
    arguments = ["--embedded", "--bundle", str(own_bundle), "--records", str(records)]

    assert 1 == main([*arguments, "--output", str(tmp_path / "report"), "--max-calibration-error", "0"])
    assert "exceeds 0; nothing was written" in capsys.readouterr().err
    assert not (own_bundle / "calibration.json").exists()
    assert (tmp_path / "report" / "calibration_report.json").is_file()


def test_too_few_records_are_refused_before_the_engine_is_asked(
    own_bundle: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 3 with the number there is and the number it takes."""
    lines = (checkpoint / "golden.jsonl").read_text("utf-8").splitlines()
    write_records([json.loads(line) for line in lines], tmp_path / "few")

    assert 3 == main(command("127.0.0.1:1", own_bundle, tmp_path / "few"))
    assert f"gives {len(lines)} labelled decisions" in capsys.readouterr().err
    assert not (own_bundle / "calibration.json").exists()


def test_an_engine_that_is_not_there_leaves_the_bundle_as_it_was(
    own_bundle: Path, records: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 3, and the endpoint."""
    assert 3 == main([*command("127.0.0.1:1", own_bundle, records), "--call-timeout-s", "1"])
    assert "127.0.0.1:1 does not answer" in capsys.readouterr().err
    assert not (own_bundle / "calibration.json").exists()


def test_records_that_are_none_are_a_wrong_command_line(own_bundle: Path, tmp_path: Path) -> None:
    """Status 2 for a folder without conversations."""
    assert 2 == main(command("127.0.0.1:1", own_bundle, tmp_path))
