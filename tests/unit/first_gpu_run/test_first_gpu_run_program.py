"""The program: what each check needs, and how it ends."""

import json
from pathlib import Path

import pytest
from first_gpu_run.__main__ import CHECKS, main
from first_gpu_run.checks import Status
from first_gpu_run.host import Host
from recorded_runner import RecordedRunner
from recorded_wire import L40S, outcome

NEEDS = {
    "template": "--image-root",
    "legacy-warning": "--logs",
    "driver": "--endpoint",
    "xgrammar": "to run inside the image",
    "geometry": "--checkpoint",
    "engine-config": "--bundle",
    "load": "--endpoint and --bundle",
    "model-config": "--endpoint",
    "answer-form": "--endpoint and --bundle",
    "golden": "--endpoint and --bundle",
    "logits": "--endpoint and --bundle",
    "logits-flag": "--endpoint-without-logits",
    "input-length": "--endpoint and --bundle",
    "reuse": "--endpoint and --bundle",
    "guided-call": "--guided",
    "guided-rows": "--guided",
    "one-row-parallel": "--endpoint and --bundle",
    "many-rows-parallel": "--endpoint and --bundle",
    "cancel": "--endpoint and --bundle",
    "overload": "--endpoint and --bundle",
    "speed": "--endpoint and --bundle",
    "profiles": "--endpoint and --bundle",
}


@pytest.mark.parametrize("name", NEEDS)
def test_a_check_that_lacks_something_says_what(root: Path, name: str) -> None:
    """A bare host with a GPU confirms nothing and refutes nothing."""
    bare = Host(RecordedRunner(captures=L40S), root / "model_repository", "tensorrt_llm")

    status, saw = outcome(name, bare)

    assert Status.NOT_CHECKED is status
    assert f"needs {NEEDS[name]}" in saw


def test_every_check_is_in_the_table_of_this_test() -> None:
    """No check goes without a test of what it needs."""
    assert list(NEEDS) == [check.name for check in CHECKS]


def test_the_program_on_a_host_with_nothing_confirms_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, and every check is there."""
    code = main(["--json", "--only", "logits", "--only", "geometry", "--model-repository", str(root)])

    rows = json.loads(capsys.readouterr().out)
    assert 3 == code
    assert [("geometry", "not checked"), ("logits", "not checked")] == [(r["check"], r["status"]) for r in rows]


def test_the_program_lists_its_checks(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each."""
    assert 0 == main(["--list"])
    assert list(NEEDS) == [line.split()[0] for line in capsys.readouterr().out.splitlines()]


def test_a_folder_that_is_no_bundle_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 before anything is checked."""
    assert 2 == main(["--bundle", str(tmp_path)])
    assert "is no bundle" in capsys.readouterr().err
