"""Answers calls on threads of its own, so that none waits for the candidates of another.

A call whose candidates are new encodes some of them and goes to the end of the queue again, as often as it takes:
between two such slices the other calls are answered. Calls that have to wait anyhow are shared out among the threads,
and those of a share are answered in one run.
"""

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Protocol

from compact_model.router import CompactRouter, Question, Scores

MOST_TOGETHER = 4
"""Calls of a share; with more the first one waits long and little is gained."""

SLICE_S = 0.02
"""Seconds for which new candidates are encoded at once, about what a conversation takes."""


ASK_AFTER_S = 0.05
"""Seconds a call has to have waited before Triton is asked whether its caller still does: the question takes a tenth of
an answer's time, and few give up sooner."""


class Caller(Protocol):
    """Who waits for an answer; each call ends in one ``answer`` or one ``fail``, which raise nothing."""

    def is_gone(self) -> bool:
        """Whether nobody waits any more."""

    def answer(self, scores: Scores) -> None:
        """Take the scores."""

    def fail(self, error: Exception) -> None:
        """Take what went wrong."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        conversation: See ``CompactRouter.prepare``.
        candidates: See ``CompactRouter.prepare``.
        caller: Who made it.
        since_s: When it came, by ``time.monotonic``.
    """

    conversation: bytes
    candidates: Sequence[bytes]
    caller: Caller
    since_s: float = field(default_factory=time.monotonic)


class Workers:
    """A queue of calls and the threads that answer them."""

    def __init__(self, router: CompactRouter, thread_count: int) -> None:
        """Start the threads.

        Args:
            router: Answers.
            thread_count: Calls answered at once, >= 1.

        Raises:
            ValueError: When ``thread_count`` is below 1.
        """
        if thread_count < 1:
            msg = f"{thread_count} threads cannot answer calls; give at least 1"
            raise ValueError(msg)
        self._router = router
        self._calls: deque[Call] = deque()
        self._changed = Condition()
        self._is_closing = False
        self._idle_count = 0
        self._threads = [Thread(target=self._work, name=f"worker-{number}") for number in range(thread_count)]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Call) -> None:
        """Let a call be answered after those that came before.

        Args:
            call: It.
        """
        with self._changed:
            self._calls.append(call)
            self._changed.notify()

    def close(self) -> None:
        """Answer what waits, and end the threads."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while share := self._next():
            self._answer([(call, question) for call in share if (question := self._prepare(call)) is not None])

    def _answer(self, asked: Sequence[tuple[Call, Question]]) -> None:
        try:
            answers = self._router.answer([question for _, question in asked])
        except Exception as error:  # noqa: BLE001 - see _prepare; those who share a run share its failure
            for call, _ in asked:
                call.caller.fail(error)
        else:
            for (call, _), scores in zip(asked, answers, strict=True):
                call.caller.answer(scores)

    def _prepare(self, call: Call) -> Question | None:
        """Read a call; None when it is answered, or waits again."""
        if time.monotonic() - call.since_s > ASK_AFTER_S and call.caller.is_gone():
            call.caller.fail(TimeoutError("the caller has gone"))
            return None
        try:
            question = self._router.prepare(SLICE_S, call.conversation, call.candidates)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this call's, and the thread goes on
            call.caller.fail(error)
            return None
        if question is None:
            self.submit(call)
        return question

    def _next(self) -> list[Call]:
        """Wait for a share of the calls; there is none when all are answered and no more will come."""
        with self._changed:
            self._idle_count += 1
            self._changed.wait_for(lambda: self._calls or self._is_closing)
            count = min(math.ceil(len(self._calls) / self._idle_count), MOST_TOGETHER)
            self._idle_count -= 1
            return [self._calls.popleft() for _ in range(count)]
