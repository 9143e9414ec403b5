"""Commands that start the real stack for themselves: service and Triton as child processes, and nothing left behind."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.benchmark_folder import write_benchmark

from archrouter.cli.local_service import LocalServiceError, local_service

TIMEOUT_S = 120.0
WAIT_SCRIPT = """
import time
from archrouter.cli.local_service import local_service

with local_service() as target:
    print(target, flush=True)
    time.sleep(600)
"""


def _processes(needle: Path) -> list[int]:
    """List the processes of this machine whose command line names a folder."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process ended while we looked
            if os.fsencode(needle) in cmdline.read_bytes():
                found.append(int(cmdline.parent.name))
    return found


def _wait_for_exit(process_ids: list[int]) -> None:
    """Wait until processes that are not our children have ended."""
    for process_id in process_ids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process_id)
            select.select([descriptor], [], [], TIMEOUT_S)
            os.close(descriptor)


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let everything that is started put its temporary files, and so the arguments that name them, under one folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


@pytest.fixture
def waiting_command(root: Path, run_folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Give a process that has a ready local service and waits."""
    del run_folder
    process = subprocess.Popen([sys.executable, "-c", WAIT_SCRIPT], cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("127.0.0.1:")
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def _archrouter(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "archrouter", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_demo_routes_every_conversation_and_leaves_nothing(root: Path, run_folder: Path) -> None:
    """The demo answers all conversations, exits 0, and ends every process and removes every file it made."""
    result = _archrouter(root, "demo")

    assert (0, "") == (result.returncode, result.stderr.partition("failed")[2])
    assert "16 conversations were routed as their author expected" in result.stdout
    assert [] == _processes(run_folder)
    assert [] == list(run_folder.glob("archrouter-*"))


def test_eval_measures_the_embedded_stack(root: Path, run_folder: Path, tmp_path: Path) -> None:
    """A benchmark folder runs against the real stack: every labelled turn has a prediction."""
    del run_folder
    benchmark = tmp_path / "benchmark"
    benchmark.mkdir()

    result = _archrouter(root, "eval", "--embedded", "--json", str(write_benchmark(benchmark)))

    assert 0 == result.returncode
    assert {"settings": 1, "conversations": 1, "turns": 2, "failed_calls": 0} == json.loads(result.stdout)["counts"]


def test_suites_run_against_the_embedded_stack(root: Path, run_folder: Path) -> None:
    """The sample suites run with the policy files beside them, and each case gets a decision."""
    del run_folder

    result = _archrouter(root, "test", "--embedded", "--json", "--min-accuracy", "0", "examples/policies")

    assert 0 == result.returncode
    cases = [case for suite in json.loads(result.stdout)["suites"] for case in suite["cases"]]
    assert len(cases) > 50
    assert all(case["confidence"] is not None for case in cases)


def test_local_service_that_cannot_start_shows_its_log(run_folder: Path, tmp_path: Path) -> None:
    """A service that does not start is an error with the end of its log, in lines for people."""
    (tmp_path / "broken.yaml").write_text("policy_set: broken\n", encoding="utf-8")

    with pytest.raises(LocalServiceError) as raised, local_service(policies=tmp_path):
        pass

    assert "ended with exit code 1 before it was ready" in str(raised.value)
    assert "policy files cannot be used: broken.yaml" in str(raised.value)
    assert [] == list(run_folder.glob("archrouter-*"))


def test_local_service_that_takes_too_long_is_ended(run_folder: Path) -> None:
    """A service that is not ready in time is an error, and does not go on starting."""
    with pytest.raises(LocalServiceError, match=r"was not ready within 0\.5 s"), local_service(start_timeout_s=0.5):
        pass

    assert [] == _processes(run_folder)


def test_sigterm_ends_a_service_that_is_still_starting(root: Path, run_folder: Path) -> None:
    """Triton is stopped and its files are removed, whenever the signal comes."""
    command = [sys.executable, "-m", "archrouter", "serve", "--embedded", "--policies", "examples/policies"]
    service = subprocess.Popen([*command, "--server-listen", "127.0.0.1:0", "--metrics-listen", ""], cwd=root)
    deadline_s = time.monotonic() + TIMEOUT_S
    while not _processes(run_folder) and time.monotonic() < deadline_s:
        time.sleep(0.01)

    service.terminate()

    assert 0 == service.wait(TIMEOUT_S)
    assert [] == _processes(run_folder)
    assert [] == list(run_folder.glob("archrouter-*"))


def test_sigterm_ends_the_command_and_its_service(waiting_command: "subprocess.Popen[str]", run_folder: Path) -> None:
    """SIGTERM unwinds like Ctrl-C: the service and Triton are stopped and their files removed before the exit."""
    waiting_command.terminate()

    assert 128 + signal.SIGTERM == waiting_command.wait(TIMEOUT_S)
    assert [] == _processes(run_folder)
    assert [] == list(run_folder.glob("archrouter-*"))


def test_killed_command_takes_its_service_along(waiting_command: "subprocess.Popen[str]", run_folder: Path) -> None:
    """A command that is killed can stop nothing any more; the kernel tells its service, which then ends in order."""
    started = _processes(run_folder)

    waiting_command.kill()
    _wait_for_exit(started)

    assert len(started) > 1
    assert [] == _processes(run_folder)
    assert [] == list(run_folder.glob("archrouter-triton-*"))


def test_doctor_policies_finds_what_was_planted_and_cleans_up(root: Path, run_folder: Path) -> None:
    """Two overlaps, a dead route and a losing catch-all, asked of the real compact tier; nothing on a clean twin."""
    done, clean = (
        _archrouter(root, "doctor", "policies", f"tests/data/doctor_queues/{name}", "--embedded", "--json")
        for name in ("sick", "clean")
    )

    (seen,), (well,) = (json.loads(each.stdout)["policy_sets"] for each in (done, clean))
    assert (1, 0) == (done.returncode, clean.returncode), done.stderr + clean.stderr
    assert 50 + 120 == seen["case_count"] == well["case_count"]
    planted = {
        ("CONFUSED_PAIR", "team_a", "team_b"),
        ("CONFUSED_PAIR", "team_c", "team_d"),
        ("NEVER_WINS", "team_e"),
        ("LOSES_TO_NO_MATCH", "team_f"),
    }
    assert planted <= {(each["kind"], *each["routes"]) for each in seen["findings"]}
    assert all(0 < each["evidence_count"] <= each["case_count"] for each in seen["findings"])
    assert [] == well["findings"]
    assert [] == _processes(run_folder)


@pytest.fixture
def policies(root: Path, tmp_path: Path) -> Path:
    """Copy the sample policies with their suites, to be changed."""
    return Path(shutil.copytree(root / "examples" / "policies", tmp_path / "policies"))


def test_thresholds_are_calibrated_and_found_stale_when_a_route_changes(
    root: Path, run_folder: Path, policies: Path
) -> None:
    """What the real tier decides on labelled cases is promised in the file; `check` holds the file to it."""
    del run_folder
    file = policies / "customer-support.yaml"
    given = ("--cases", str(policies), "--max-error", "40%", "--embedded", "--write", "--json")

    done = _archrouter(root, "calibrate", str(file), *given)
    promised = _archrouter(root, "check", str(file))
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("Tracking of a parcel", "Whereabouts of a parcel"), encoding="utf-8")
    changed = _archrouter(root, "check", str(file))

    (result,) = json.loads(done.stdout)
    assert (0, 0) == (done.returncode, promised.returncode), done.stderr + promised.stdout
    assert result["model_version"] in text
    assert "calibrated" not in promised.stdout
    assert "calibrated" in changed.stdout


def test_corrections_become_examples_that_the_real_tier_reads(root: Path, run_folder: Path, policies: Path) -> None:
    """The suite is routed before and after; a route is told its own case, so that none gets worse."""
    del run_folder
    file, correction = policies / "customer-support.yaml", policies.parent / "corrections.jsonl"
    words = "my parcel lies at some neighbour's, says the driver"
    said = {"policy_set": "customer-support", "messages": [{"role": "user", "content": words}]}
    correction.write_text(json.dumps({**said, "route": "orders_delivery_tracking"}) + "\n", encoding="utf-8")
    given = ("--corrections", str(correction), "--suites", str(policies), "--embedded", "--write")

    done = _archrouter(root, "learn", str(file), *given)

    assert re.search(r"\d+ of \d+ cases pass before, \d+ after", done.stderr)
    assert (words in file.read_text(encoding="utf-8")) == (0 == done.returncode), done.stderr
