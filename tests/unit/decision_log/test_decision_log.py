"""What the decision log writes, counts and survives, in one process."""

import errno
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from tests.support.logged_decisions import CARD, DECISION, QUESTION, HeldFile, Tallies

from archrouter.decision_log import log as decision_log
from archrouter.decision_log.log import DecisionLog, open_decision_log
from archrouter.decision_log.reader import read_decisions
from archrouter.decision_log.record import DecisionRecord, ShadowRecord, TextMode
from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import Outcome
from archrouter.observability.metrics import DECISION_LOG_RESULTS


@pytest.fixture
def tallies() -> Tallies:
    """Count what becomes of decisions."""
    return Tallies()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[HeldFile]:
    """Make a file that can be held."""
    file = HeldFile(tmp_path / "decisions.jsonl")
    yield file
    file.open.set()


def opened(path: Path, tallies: Tallies, text: TextMode = "hash") -> DecisionLog:
    """Open a log as the service does."""
    return open_decision_log(
        path, salt_file=None, text=text, max_bytes=1 << 20, kept_files=2, queue_size=100, count=tallies
    )


def record(log: DecisionLog, decision_id: str = "id-1") -> None:
    """Log a decision under an id."""
    log.record(QUESTION, replace(DECISION, decision_id=decision_id), caller="gateway", correlation_id="c-1")


def read(path: Path) -> list[DecisionRecord]:
    """Read a log all of whose lines are records."""
    found = list(read_decisions(path))
    records = [one for one in found if isinstance(one, DecisionRecord)]
    assert len(found) == len(records)
    return records


def test_a_line_holds_what_was_decided_and_why(tmp_path: Path, tallies: Tallies) -> None:
    """Everything that later questions need, and no text of the conversation or of a policy."""
    log = opened(tmp_path / "d.jsonl", tallies)
    record(log)
    log.close()

    written = (tmp_path / "d.jsonl").read_text()
    (line,) = written.splitlines()
    fields = json.loads(line)
    digest, time = fields["conversation"].pop("digest"), fields.pop("time")
    assert {
        "version": 1,
        "decision_id": "id-1",
        "correlation_id": "c-1",
        "caller": "gateway",
        "policy_set": "support",
        "policy_set_revision": DECISION.policy_set.revision,
        "inline": False,
        "model_version": "sha256:" + "0" * 64,
        "tier": "compact",
        "outcome": "matched",
        "route_id": "coding",
        "models": ["m/coder"],
        "confidence": 0.75,
        "kept": True,
        "runner_up": {"route_id": "", "probability": 0.25},
        "lead": 0.5,
        "candidates": [{"route_id": "coding", "probability": 0.75}, {"route_id": "", "probability": 0.25}],
        "reasons": ["kept_for_tool_result"],
        "warnings": ["policy_set_stale"],
        "rule": {
            "min_confidence": 0.5,
            "turn_kind": "tool_result",
            "previous_route_id": "coding",
            "switch_margin": 0.25,
        },
        "usage": {
            "prompt_token_count": 10,
            "engine_call_count": 2,
            "cached_token_count": 3,
            "dropped_message_count": 4,
            "dropped_token_count": 7,
        },
        "durations": {"total_s": 1.5, "tokenize_s": 0.25, "queue_s": 0.125, "inference_s": 1.0},
        "conversation": {"message_count": 2, "messages": None},
        "shadow": None,
    } == fields
    assert 64 == len(digest)
    assert time.endswith("Z")
    assert CARD not in written
    assert "never to be logged" not in written


def test_a_line_holds_what_was_decided_beside_the_call(tmp_path: Path, tallies: Tallies) -> None:
    """The second decision and what made it, and the time of the first, which waited for it."""
    log, again = opened(tmp_path / "d.jsonl", tallies), replace(DECISION, outcome=Outcome.NO_MATCH, route=None)
    decided_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    log.record(QUESTION, DECISION, caller="", correlation_id="", time=decided_at, shadow=again)
    log.close()

    (line,) = read(tmp_path / "d.jsonl")
    assert (decided_at, "coding") == (line.time, line.route_id)
    assert (
        ShadowRecord(
            policy_set_revision=DECISION.policy_set.revision,
            model_version=DECISION.profile.model_version,
            tier="compact",
            outcome="no_match",
            route_id="",
            models=("m/coder",),
            confidence=0.75,
        )
        == line.shadow
    )


def test_text_is_kept_only_where_it_is_switched_on(tmp_path: Path, tallies: Tallies) -> None:
    """Three levels, and the log of the service says when text is kept."""
    for text in ("none", "hash", "text"):
        with structlog.testing.capture_logs() as events:
            log = opened(tmp_path / f"{text}.jsonl", tallies, text)
            record(log)
            log.close()
        (one,) = read(tmp_path / f"{text}.jsonl")
        messages = one.conversation.messages
        assert (text == "none") == (one.conversation.digest == "")
        assert (CARD if text == "text" else None) == (messages[1].content if messages else None)
        assert (text == "text") == any(event["event"] == "conversations_are_logged" for event in events)


def test_equal_conversations_have_equal_digests_under_one_salt_only(tmp_path: Path, tallies: Tallies) -> None:
    """The salt outlives the process, so a conversation is found again; without it nobody can try out texts."""
    for name in ("a", "a", "b"):
        log = opened(tmp_path / f"{name}.jsonl", tallies)
        record(log)
        log.close()

    first, second = (one.conversation.digest for one in read(tmp_path / "a.jsonl"))
    (other,) = (one.conversation.digest for one in read(tmp_path / "b.jsonl"))
    assert first == second
    assert first != other


@pytest.mark.parametrize(
    "messages",
    [
        (Message(Role.ASSISTANT, "Hi"), Message(Role.USER, "\u2028" + CARD)),
        (Message(Role.USER, "Hi\u2028"), Message(Role.USER, CARD)),
        (Message(Role.ASSISTANT, "Hi\u2028" + CARD),),
    ],
)
def test_different_conversations_of_the_same_letters_have_different_digests(
    messages: tuple[Message, ...], tmp_path: Path, tallies: Tallies
) -> None:
    """Where a message ends and who wrote it is part of the digest."""
    log = opened(tmp_path / "d.jsonl", tallies)
    record(log)
    log.record(replace(QUESTION, messages=messages), DECISION, caller="", correlation_id="")
    log.close()

    first, second = (one.conversation.digest for one in read(tmp_path / "d.jsonl"))
    assert first != second


def test_a_decision_without_route_is_logged_with_its_runner_up(tmp_path: Path, tallies: Tallies) -> None:
    """The candidate next to no match."""
    log = opened(tmp_path / "d.jsonl", tallies)
    no_match = replace(DECISION, outcome=Outcome.NO_MATCH, route=None, candidates=DECISION.candidates[::-1])
    log.record(QUESTION, no_match, caller="", correlation_id="")
    log.close()

    (one,) = read(tmp_path / "d.jsonl")
    assert ("", "coding") == (one.route_id, one.runner_up.route_id)


def test_a_file_that_hangs_delays_no_call(held: HeldFile, tallies: Tallies) -> None:
    """With the disk standing still a thousand decisions are handed over at once; what has no room is lost."""
    held.open.clear()
    log = DecisionLog(held, b"salt", text="hash", queue_size=10, count=tallies)

    started_s = time.monotonic()
    for number in range(1000):
        record(log, str(number))
    passed_s = time.monotonic() - started_s
    held.open.set()
    log.close()

    logged = len(read(held.path))
    assert passed_s < 2
    assert 10 <= logged <= 11  # the thread may have taken one out of the queue
    assert {"written": logged, "queue_full": 1000 - logged} == tallies.counts


def test_conversations_that_wait_are_bounded_by_their_length(
    held: HeldFile, tallies: Tallies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few very long ones must not take the memory of the service; without text nothing is held of them."""
    monkeypatch.setattr(decision_log, "MAX_QUEUED_CHARACTERS", 100)
    held.open.clear()
    log = DecisionLog(held, b"salt", text="hash", queue_size=1000, count=tallies)

    for _ in range(20):
        record(log)
    held.open.set()
    log.close()

    characters = sum(len(message.content) for message in QUESTION.messages)
    logged = len(read(held.path))
    assert 100 // characters <= logged <= 100 // characters + 1


def test_a_full_disk_is_counted_and_told_once_and_the_log_recovers(held: HeldFile, tallies: Tallies) -> None:
    """The decisions meanwhile are lost, those after it are written."""
    held.failure = OSError(errno.ENOSPC, "No space left on device")
    with structlog.testing.capture_logs() as events:
        log = DecisionLog(held, b"salt", text="hash", queue_size=1000, count=tallies)
        for _ in range(50):
            record(log, "lost")
        while tallies.counts["write_failed"] < 50:
            threading.Event().wait(0.001)
        held.failure = None
        record(log, "kept")
        log.close()

    assert ["kept"] == [one.decision_id for one in read(held.path)]
    assert {"write_failed": 50, "written": 1} == tallies.counts
    losses = [event for event in events if event["event"] == "decisions_not_logged"]
    assert 50 == sum(event["write_failed"] for event in losses)
    assert len(losses) <= 2  # the first at once, the rest at the end
    assert "No space left on device" == losses[0]["reason"]


def test_a_record_that_cannot_be_made_does_not_end_the_log(held: HeldFile, tallies: Tallies) -> None:
    """The thread lives on whatever one decision holds."""
    log = DecisionLog(held, b"salt", text="hash", queue_size=10, count=tallies)

    log.record(QUESTION, replace(DECISION, candidates=()), caller="", correlation_id="")
    record(log, "next")
    log.close()

    assert ["next"] == [one.decision_id for one in read(held.path)]
    assert {"write_failed": 1, "written": 1} == tallies.counts


def test_a_closed_log_loses_decisions_without_an_error(held: HeldFile, tallies: Tallies) -> None:
    """A call that ends after the log has closed is answered all the same."""
    log = DecisionLog(held, b"salt", text="hash", queue_size=10, count=tallies)
    log.close()

    record(log)

    assert {"queue_full": 1} == tallies.counts


def test_results_are_those_of_the_metric() -> None:
    """The names in the log and in the metric are the same."""
    assert DECISION_LOG_RESULTS == decision_log.RESULTS
