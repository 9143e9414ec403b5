"""The load benchmark's figures: what they are made of, and what they are held against."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from benchmarks.load.__main__ import main
from benchmarks.load.generator import OK, REFUSED, Calls
from benchmarks.load.parts import summary
from benchmarks.load.report import rows
from benchmarks.load.scene import processor_s, read_conversations
from click.testing import CliRunner

from archrouter.domain.conversation import Role


def calls() -> Calls:
    """Make a call each tenth of a second for ten seconds; every other one is refused."""
    due_s = np.arange(100) / 10
    refused = np.arange(100) % 2 == 1
    return Calls(due_s, np.where(refused, 0.001, 0.1), np.where(refused, REFUSED, OK))


def test_calls_are_told_apart_by_code_and_time() -> None:
    """A span keeps what was due in it, a code what ended with it."""
    span = calls().between(2.0, 4.0)

    assert 20 == len(span.due_s)
    assert 10 == len(span.of(OK))
    assert 0.001 == span.of(REFUSED).max()


def test_summary_of_nothing_has_no_percentiles() -> None:
    """A part in which no call was refused has no latency of refusals, rather than none at all."""
    assert {"count": 0, "median_s": None, "p90_s": None, "p99_s": None} == summary(np.array([]))
    assert 0.1 == summary(calls().of(OK))["p99_s"]


def test_report_holds_each_figure_against_its_bound() -> None:
    """The table has the ratio of the two latencies, goodput, refusals, recovery and memory."""
    usage = {"resident_growth_ratio": 0.001}
    accepted, half = {"p99_s": 0.2, "count": 9}, {"median_s": 0.02, "p99_s": 0.1, "count": 7}
    refused = {"median_s": 0.004, "count": 5}
    twice = {"accepted": accepted, "refused": refused, "goodput_ratio": 0.95, "recovery_s": 0.4, "codes": {"OK": 9}}

    found = {
        figure: (value, bound) for _, figure, value, bound, _ in rows({"half": half, "twice": twice | {"usage": usage}})
    }

    assert ("2.00", "≤ 3") == found["accepted p99 / p99 at half load"]
    assert ("0.95", "≥ 0.9") == found["goodput / capacity"]
    assert ("4.0 ms", "≤ 10 ms") == found["refusals, median"]
    assert ("0.40 s", "≤ 1 s") == found["last refusal after the overload"]


def test_processor_time_is_that_of_a_process_and_its_group() -> None:
    """Triton's model is a process of its own, in the group that Triton leads; the time of others does not count."""
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    command = [sys.executable, "-c", child]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout
        leader.stdout.readline()
        computed_s = processor_s(leader.pid)
        leader.communicate(b"\n")

    assert 0.2 < computed_s < 2.0


def test_conversations_end_with_the_user() -> None:
    """Every question is one that a gateway asks when the user has spoken."""
    conversations = read_conversations()

    assert 64 == len(conversations)
    assert {Role.USER} == {messages[-1].role for messages in conversations}


def test_a_picture_of_what_was_not_measured_says_what_to_do(tmp_path: Path) -> None:
    """Nothing is drawn, and no key of a document is all that one is told."""
    picture = tmp_path / "load.svg"

    result = CliRunner().invoke(main, ["--json", str(tmp_path / "load.json"), "--picture", str(picture)])

    assert 2 == result.exit_code
    assert "no file with the part half and twice; measure first" in result.output
    assert not picture.exists()
