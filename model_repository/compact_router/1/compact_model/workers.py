"""Answers calls on threads of its own, so that none waits for the candidates of another.

A call whose candidates are new encodes some of them and goes to the end of the queue again, as often as it takes:
between two such slices the other calls are answered. Several conversations are not put into one run of ONNX Runtime:
its quantisation would give each other bits than alone, and threads that run one each use the cores as well.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Protocol

from compact_model.router import CompactRouter, Scores

SLICE_S = 0.02
"""Seconds for which new candidates are encoded at once, about what a conversation takes."""


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
        conversation: See ``CompactRouter.score``.
        candidates: See ``CompactRouter.score``.
        caller: Who made it.
    """

    conversation: bytes
    candidates: Sequence[bytes]
    caller: Caller


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
        while (call := self._next()) is not None:
            if call.caller.is_gone():
                call.caller.fail(TimeoutError("the caller has gone"))
                continue
            try:
                scores = self._router.score_within(SLICE_S, call.conversation, call.candidates)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this call's, and the thread goes on
                call.caller.fail(error)
                continue
            if scores is None:
                self.submit(call)
            else:
                call.caller.answer(scores)

    def _next(self) -> Call | None:
        with self._changed:
            self._changed.wait_for(lambda: self._calls or self._is_closing)
            return self._calls.popleft() if self._calls else None
