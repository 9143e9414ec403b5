"""``archrouter calibrate`` against a real server, and what ``archrouter check`` says afterwards."""

import json
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result
from tests.support.routing_services import ScriptedService, matched, refused, serving

from archrouter import v1
from archrouter.cli import cli

POLICIES = """\
# Two routes
policy_set: support
models: {small: {model: m/small}}
fallback: [small]
routes:
  - {id: refund, description: Asks for a refund of money already paid, models: [small], min_confidence: 0.1}
  - {id: parcel, description: Asks where a parcel is just now, models: [small]}
"""
MODEL_VERSION = "sha256:" + "7" * 64


def _record(index: int, text: str, route: str) -> str:
    messages = [{"role": "user", "content": text}]
    record = {"id": f"talk-{index}", "policy_set": "support", "messages": messages}
    return json.dumps({**record, "labels": [{"turn": 0, "route": route}]}) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a set, and cases of which every tenth is wrong at a confidence of 0.8; the rest are right at 0.96."""
    (tmp_path / "support.yaml").write_text(POLICIES)
    lines = [
        _record(index, "refund" if index % 10 else "unsure", "parcel" if not index % 10 else "refund")
        for index in range(200)
    ]
    (tmp_path / "cases.jsonl").write_text("".join(lines))
    return tmp_path


def _answer(request: v1.SelectRouteRequest) -> v1.Decision:
    """Answer as a service does in the full view."""
    assert v1.DecisionView.DECISION_VIEW_FULL == request.view
    leader = 0.8 if request.messages[-1].content == "unsure" else 0.96
    decision = matched("refund", leader)
    decision.model_version = MODEL_VERSION
    for route_id, probability in (("refund", leader), ("parcel", (1 - leader) / 2), ("", (1 - leader) / 2)):
        decision.candidates.add(route_id=route_id, probability=probability)
    return decision


def _calibrate(folder: Path, *arguments: str, service: ScriptedService | None = None) -> Result:
    cases = ["--cases", str(folder / "cases.jsonl")]
    with serving(service or ScriptedService(_answer)) as target:
        return CliRunner().invoke(
            cli, ["calibrate", str(folder / "support.yaml"), *cases, "--target", target, *arguments]
        )


def test_calibrate_writes_thresholds_and_their_promise(folder: Path) -> None:
    """The thresholds that keep the promise are shown as a diff and written; every other line stays as it is."""
    shown = _calibrate(folder, "--max-error", "5%")
    untouched = (folder / "support.yaml").read_text()
    written = _calibrate(folder, "--max-error", "0.05", "--write")

    text = (folder / "support.yaml").read_text()
    assert (0, 0, POLICIES) == (shown.exit_code, written.exit_code, untouched)
    assert "+min_confidence: 0.85\n" in shown.stdout
    assert "models: [small], min_confidence: 0.85}" in text
    assert f'  model_version: "{MODEL_VERSION}",' in text
    assert 0 == CliRunner().invoke(cli, ["check", "--strict", str(folder)]).exit_code
    again = _calibrate(folder, "--max-error", "5%", "--write")
    assert (0, text) == (again.exit_code, (folder / "support.yaml").read_text())


@pytest.mark.parametrize(
    ("old", "new"), [("just now", "today"), ("min_confidence: 0.85\n", "min_confidence: 0.5\n")], ids=["text", "number"]
)
def test_check_warns_of_a_promise_that_no_longer_holds(folder: Path, old: str, new: str) -> None:
    """After another wording or threshold the check warns, and fails where it is strict; models may change."""
    _calibrate(folder, "--max-error", "5%", "--write")
    file = folder / "support.yaml"
    file.write_text(file.read_text().replace("m/small", "m/other"))
    assert 0 == CliRunner().invoke(cli, ["check", "--strict", str(file)]).exit_code
    file.write_text(file.read_text().replace(old, new))

    result = CliRunner().invoke(cli, ["check", "--strict", str(file)])

    assert 1 == result.exit_code
    assert "warning: calibration: routes or thresholds changed since they were calibrated" in result.stdout
    assert 0 == CliRunner().invoke(cli, ["check", str(file)]).exit_code


def test_calibrate_says_when_no_threshold_keeps_the_promise(folder: Path) -> None:
    """What the cases cannot show is not promised: exit code 1, what it takes, and nothing written."""
    result = _calibrate(folder, "--max-error", "1%", "--write", "--json")

    document = json.loads(result.stdout)
    assert (1, False, 200) == (result.exit_code, document[0]["kept"], document[0]["case_count"])
    assert "at least 505 turns" in result.stderr
    assert POLICIES == (folder / "support.yaml").read_text()


def test_calibrate_refuses_what_it_cannot_promise_by(folder: Path) -> None:
    """A label that is no route, cases of other sets, a call that failed and a share above 1 end the command."""

    def fail(_request: v1.SelectRouteRequest) -> v1.Decision:
        raise refused(grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID")

    failed = _calibrate(folder, "--max-error", "5%", service=ScriptedService(fail))
    share = _calibrate(folder, "--max-error", "200%")
    (folder / "cases.jsonl").write_text(_record(1, "refund", "return"))
    label = _calibrate(folder, "--max-error", "5%")
    (folder / "cases.jsonl").write_text(_record(1, "refund", "refund").replace("support", "else"))
    other = _calibrate(folder, "--max-error", "5%")

    assert (1, 2, 2, 2) == (failed.exit_code, share.exit_code, label.exit_code, other.exit_code)
    assert "200 of 200 calls failed, the first with ERROR_REASON_REQUEST_INVALID" in failed.stderr
    assert "'200%' is no share" in share.stderr
    assert "'return' is no route of support" in label.stderr
    assert "no labelled turn is for support" in other.stderr


@pytest.mark.parametrize(
    ("calibration", "problem"),
    [
        ("{}", "calibration.max_error: is missing; run archrouter calibrate --write"),
        ("{max_error: 2, level: 0.9, cases: 9, model_version: a, revision: b}", "2.0 is outside (0, 1)"),
        ("{max_error: 0.1, level: 0.9, cases: 0, model_version: a, revision: b}", "0 cases promise nothing"),
        ("{max_error: 0.1, level: 0.9, cases: 1.5, model_version: a, revision: b}", "1.5 is no count"),
        ("{max_error: 0.1, level: 0.9, cases: 9, model_version: a, revison: b}", "did you mean 'revision'?"),
    ],
)
def test_calibration_of_a_policy_file_is_read_strictly(tmp_path: Path, calibration: str, problem: str) -> None:
    """What somebody wrote there by hand is an error with its place."""
    file = tmp_path / "support.yaml"
    file.write_text(f"{POLICIES}calibration: {calibration}\n")

    result = CliRunner().invoke(cli, ["check", str(file)])

    assert (1, True) == (result.exit_code, problem in result.stdout)
