"""Calls are answered by threads, as they would be alone, and none waits for the candidates of another."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Queue
from threading import Event

import numpy as np
import pytest
from compact_model.inputs import CONVERSATION, InvalidInputError
from compact_model.router import CompactRouter, Scores
from compact_model.workers import ASK_AFTER_S, MOST_TOGETHER, Call, Workers

TIMEOUT_S = 60.0
CANDIDATE = b"{}"
OTHER_LANGUAGES = ("Ich suche ein Hotel in Rom für drei Nächte", "¿Hay vuelos a Madrid mañana por la mañana?")


class Slow:
    """A router to which candidates are new for as many calls as they are."""

    def __init__(self) -> None:
        """Note in which order calls are read, and which are answered together."""
        self.left: dict[bytes, int] = {}
        self.has_begun, self.may_go_on = Event(), Event()
        self.slices: list[bytes] = []
        self.runs: list[list[bytes]] = []

    def prepare(self, _: float, conversation: bytes, candidates: Sequence[bytes]) -> bytes | None:
        """Encode one candidate, or say what is asked."""
        self.has_begun.set()
        self.may_go_on.wait(TIMEOUT_S)
        self.slices.append(conversation)
        if conversation == b"broken":
            raise InvalidInputError(CONVERSATION, "it is broken")
        left = self.left.get(conversation, len(candidates))
        self.left[conversation] = left - 1
        return None if left > 1 else conversation

    def answer(self, questions: Sequence[bytes]) -> list[Scores]:
        """Answer, unless what is asked is too much."""
        self.runs.append([*questions])
        if b"too much" in questions:
            raise MemoryError
        return [Scores(np.zeros(1, dtype=np.float32), 0, 0, 0) for _ in questions]


class Waiting:
    """A caller who notes what comes back."""

    def __init__(self, *, gone: bool = False) -> None:
        """Say whether it waits at all."""
        self.answers: Queue[Scores | Exception] = Queue()
        self._gone = gone

    def is_gone(self) -> bool:
        """Say so."""
        return self._gone

    def answer(self, scores: Scores) -> None:
        """Note it."""
        self.answers.put(scores)

    def fail(self, error: Exception) -> None:
        """Note it."""
        self.answers.put(error)

    @property
    def answered(self) -> Scores | Exception:
        """Wait for it."""
        return self.answers.get(timeout=TIMEOUT_S)


@pytest.fixture
def slow() -> Slow:
    """Make one."""
    return Slow()


@pytest.fixture
def workers_of() -> Iterator[Callable[..., Workers]]:
    """Give a function that makes workers, and close them in the end."""
    made: list[Workers] = []

    def make(router: object, thread_count: int) -> Workers:
        made.append(Workers(router, thread_count))  # type: ignore[arg-type]  # stands in for a router
        return made[-1]

    yield make
    for workers in made:
        workers.close()


def test_conversations_are_answered_between_the_slices_of_a_new_set(
    slow: Slow, workers_of: Callable[..., Workers]
) -> None:
    """A set of 256 routes is loaded while others go on, each after one slice at most."""
    workers = workers_of(slow, 1)
    load, others = Waiting(), [Waiting() for _ in range(3)]

    workers.submit(Call(b"load", [CANDIDATE] * 256, load))
    for number, caller in enumerate(others):
        workers.submit(Call(f"call {number}".encode(), [CANDIDATE], caller))
    slow.may_go_on.set()

    assert all(isinstance(each.answered, Scores) for each in (*others, load))
    assert [b"load", b"call 0", b"call 1", b"call 2", *[b"load"] * 255] == slow.slices


def test_a_call_that_cannot_be_read_fails_alone(slow: Slow, workers_of: Callable[..., Workers]) -> None:
    """The thread goes on with the next one."""
    workers = workers_of(slow, 1)
    broken, whole = Waiting(), Waiting()
    slow.may_go_on.set()

    workers.submit(Call(b"broken", [CANDIDATE], broken))
    workers.submit(Call(b"whole", [CANDIDATE], whole))

    assert isinstance(broken.answered, InvalidInputError)
    assert isinstance(whole.answered, Scores)


def test_calls_that_wait_anyhow_are_answered_together(slow: Slow, workers_of: Callable[..., Workers]) -> None:
    """As many as each thread's share is, and no more than four: the first one has to wait for the others."""
    workers = workers_of(slow, 1)
    callers = [Waiting() for _ in range(7)]

    for number, caller in enumerate(callers):
        workers.submit(Call(b"call %d" % number, [CANDIDATE], caller))
        slow.has_begun.wait(TIMEOUT_S)
    slow.may_go_on.set()

    assert all(isinstance(each.answered, Scores) for each in callers)
    assert [1, MOST_TOGETHER, 2] == [len(run) for run in slow.runs]


def test_calls_that_share_a_run_share_its_failure(slow: Slow, workers_of: Callable[..., Workers]) -> None:
    """Each caller is told, and the thread goes on with the next ones."""
    workers = workers_of(slow, 1)
    first, too_much, beside, after = callers = [Waiting() for _ in range(4)]

    for said, caller in zip((b"first", b"too much", b"beside"), callers, strict=False):
        workers.submit(Call(said, [CANDIDATE], caller))
        slow.has_begun.wait(TIMEOUT_S)
    slow.may_go_on.set()
    failed = [too_much.answered, beside.answered]
    workers.submit(Call(b"after", [CANDIDATE], after))

    assert all(isinstance(each, MemoryError) for each in failed)
    assert all(isinstance(each.answered, Scores) for each in (first, after))


def test_nothing_is_computed_for_a_caller_who_has_gone(slow: Slow, workers_of: Callable[..., Workers]) -> None:
    """Past its deadline a call would only keep the others waiting; Triton is still told that it is over."""
    workers = workers_of(slow, 1)
    long_ago, just_now = (Waiting(gone=True) for _ in range(2))
    slow.may_go_on.set()

    workers.submit(Call(b"long ago", [CANDIDATE], long_ago, since_s=time.monotonic() - 2 * ASK_AFTER_S))
    workers.submit(Call(b"just now", [CANDIDATE], just_now, since_s=time.monotonic() + TIMEOUT_S))

    assert isinstance(long_ago.answered, TimeoutError)
    assert isinstance(just_now.answered, Scores)
    assert [b"just now"] == slow.slices


def test_closing_answers_what_waits(slow: Slow) -> None:
    """Triton unloads a model when its calls are over, the half-loaded sets as well."""
    workers = Workers(slow, 2)  # type: ignore[arg-type]  # stands in for a router
    callers = [Waiting() for _ in range(5)]
    for number, caller in enumerate(callers):
        workers.submit(Call(f"call {number}".encode(), [CANDIDATE] * 3, caller))
    slow.may_go_on.set()

    workers.close()

    assert [1] * 5 == [each.answers.qsize() for each in callers]


def test_no_thread_is_refused() -> None:
    """Calls would wait for ever."""
    with pytest.raises(ValueError, match="0 threads"):
        Workers(Slow(), 0)  # type: ignore[arg-type]  # stands in for a router


def test_beside_each_other_calls_get_the_answers_they_get_alone(
    router: CompactRouter, candidates: Sequence[bytes], workers_of: Callable[..., Workers]
) -> None:
    """What else was asked at the time, in which language and of which candidates, moves a score by its rounding."""
    texts = [*(f"find a hotel in Rome for {number} nights " * number for number in range(1, 7)), *OTHER_LANGUAGES]
    conversations = [json.dumps([{"role": "user", "content": text}]).encode() for text in texts]
    sets = [candidates, candidates[1:]]
    alone = [router.score(said, sets[number % 2]).logits for number, said in enumerate(conversations)]
    workers = workers_of(router, 2)
    callers = [Waiting() for _ in conversations]

    for number, (conversation, caller) in enumerate(zip(conversations, callers, strict=True)):
        workers.submit(Call(conversation, sets[number % 2], caller))
    answers = [caller.answered for caller in callers]

    for expected, found in zip(alone, answers, strict=True):
        assert isinstance(found, Scores)
        assert expected == pytest.approx(found.logits, abs=0.01)
