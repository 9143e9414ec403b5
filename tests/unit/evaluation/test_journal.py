"""The journal of a run, and what an interruption leaves of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.benchmark_folder import write_benchmark

from archrouter.domain.policy import PolicySet
from archrouter.evaluation.dataset import read_dataset
from archrouter.evaluation.journal import Journal, JournalError, question_digest
from archrouter.evaluation.prediction import Prediction

MODEL = "compact sha256:0"
FIRST, SECOND = Prediction("code", 0.25, 0.5), Prediction("other", 1.0, 0.125)


def _write_two(path: Path) -> None:
    with Journal(path, MODEL) as journal:
        journal.record("q1", "talk-1", 0, FIRST)
        journal.record("q2", "talk-1", 2, SECOND)


def test_journal_gives_back_what_was_written(tmp_path: Path) -> None:
    """A decision is known at once and in every later run; a question that was not answered is not."""
    path = tmp_path / "run.journal"
    _write_two(path)

    with Journal(path, MODEL) as journal:
        assert (FIRST, SECOND, None) == (journal.answer("q1"), journal.answer("q2"), journal.answer("q3"))


def test_each_decision_is_in_the_file_before_the_run_ends(tmp_path: Path) -> None:
    """What is written is there although the journal is still open: a killed run loses nothing finished."""
    path = tmp_path / "run.journal"

    with Journal(path, MODEL) as journal:
        journal.record("q1", "talk-1", 0, FIRST)
        lines = path.read_text(encoding="utf-8").splitlines()

    assert {"id": "talk-1", "turn": 0, "route": "code", "confidence": 0.25, "duration_s": 0.5, "question": "q1"} == (
        json.loads(lines[-1])
    )


@given(st.integers(min_value=0))
def test_torn_end_loses_only_the_torn_line(tmp_path_factory: pytest.TempPathFactory, kept: int) -> None:
    """Wherever a crash cut the file, the whole lines before the cut count, and the journal goes on behind them."""
    path = tmp_path_factory.mktemp("journal") / "run.journal"
    _write_two(path)
    whole = path.read_bytes()
    cut = whole[: kept % (len(whole) + 1)]
    path.write_bytes(cut)

    with Journal(path, MODEL) as journal:
        known = [question for question in ("q1", "q2") if journal.answer(question)]
        journal.record("q3", "talk-1", 4, FIRST)

    assert ["q1", "q2"][: max(0, cut.count(b"\n") - 1)] == known
    with Journal(path, MODEL) as journal:
        assert FIRST == journal.answer("q3")
    assert all(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def test_journal_of_another_model_is_refused(tmp_path: Path) -> None:
    """Decisions of two models are never mixed; the file is left as it is."""
    path = tmp_path / "run.journal"
    _write_two(path)
    before = path.read_bytes()

    with pytest.raises(JournalError, match=r"run\.journal:1: model: is compact sha256:0, but engine sha256:1 decides"):
        Journal(path, "engine sha256:1")

    assert before == path.read_bytes()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "is not JSON"),
        ("\udcff", "'utf-8' codec can't decode"),
        ('{"question": "q"}', "route: is missing"),
        ('{"question": "q", "route": "a", "confidence": 2, "duration_s": 1}', "confidence: 2.0 is outside"),
        ('{"question": "q", "route": "a", "confidence": 1, "duration_s": 0}', "duration_s: 0.0 is not above 0"),
    ],
)
def test_broken_line_is_an_error_with_its_place(tmp_path: Path, line: str, problem: str) -> None:
    """A whole line that is no decision was not torn by a crash: somebody else wrote it."""
    path = tmp_path / "run.journal"
    _write_two(path)
    with path.open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"{line}\n")

    with pytest.raises(JournalError) as raised:
        Journal(path, MODEL)

    assert str(raised.value).startswith(f"{path}:4: {problem}")


def test_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    """A file of predictions, named by mistake, is neither read nor written to."""
    path = tmp_path / "predictions.jsonl"
    path.write_text('{"id": "talk-1"}\n', encoding="utf-8")

    with pytest.raises(JournalError, match=r"predictions\.jsonl:1: journal: is missing"):
        Journal(path, MODEL)

    assert '{"id": "talk-1"}\n' == path.read_text(encoding="utf-8")


def test_journal_is_for_one_run_at_a_time(tmp_path: Path) -> None:
    """A second run on the same file would mix its lines with the first one's, so it is refused."""
    path = tmp_path / "run.journal"

    with Journal(path, MODEL), pytest.raises(JournalError, match="another run is writing this journal"):
        Journal(path, MODEL)


def test_journal_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """A folder is no journal."""
    with pytest.raises(JournalError, match="cannot be opened: Is a directory"):
        Journal(tmp_path, MODEL)


def test_question_is_all_that_the_answer_depends_on(tmp_path: Path) -> None:
    """Another message, turn or policy set is another question; the right route is no part of it."""
    dataset = read_dataset(write_benchmark(tmp_path))
    (conversation,) = dataset.conversations
    first, second = conversation.labels
    policy_set = dataset.policy_sets["talk_set"]
    turned = PolicySet(policy_set.id, policy_set.description, policy_set.routes[::-1], policy_set.fallback_models)
    digest = question_digest(conversation, first, policy_set)

    assert digest == question_digest(conversation, replace(first, route="code"), policy_set)
    assert digest == question_digest(replace(conversation, messages=conversation.messages[:1]), first, policy_set)
    assert digest != question_digest(conversation, second, policy_set)
    assert digest != question_digest(replace(conversation, id="talk-2"), first, policy_set)
    assert digest != question_digest(replace(conversation, messages=conversation.messages[2:] * 3), first, policy_set)
    assert digest != question_digest(conversation, first, turned)
