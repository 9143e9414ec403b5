"""How many decisions are made at a time: as many as the model answers without making each other wait for long.

Whoever finds no room is refused at once. A queue would only add its length to the latency of everybody behind it.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

from archrouter import v1
from archrouter.rpc.errors import AdmissionError

RETRY_AFTER_S = 0.5
"""A decision takes milliseconds, so a place is free long before; less would only bring the same burst back."""

LEAST_LIMIT = 2
"""Decisions at a time that count as no load. Latency is measured at them, and the limit never falls below them."""

FIRST_LIMIT = 8
"""Before anything is known. A model with more room shows it within a second."""

HEADROOM = 3
"""Decisions that may wait, so that a place that gets free is used at once, and so that the limit can grow.
Netflix/concurrency-limits, Gradient2Limit, has 4, made for pools of hundreds; here one more place on a model that makes
one decision at a time is one more decision to wait for."""

SMOOTHING = 0.1
"""Share of a new limit that one decision brings in."""

RECOVERY = 0.3
"""The same while decisions take no longer than is tolerated: overload is over, and the next burst is to find room."""

RECENT_WEIGHT = 0.05
"""Of one duration in the recent mean: about twenty decisions count, for conversations differ in length."""

NO_LOAD_WEIGHT = 0.02
"""Of one duration in the mean without load: about fifty decisions count."""

LARGEST_CUT = 0.5
"""One outlier more than halves no limit. Gradient2Limit has the same."""

NO_LOAD_AGE_S = 10.0
"""While calls are refused, latency without load is measured again so often, or a model that got slower or faster
would be held against what it was. BBR measures its path's delay as often (RFC draft-cardwell-iccrg-bbr)."""

MEASUREMENTS = 10
"""Decisions that measure it."""

MEASURING_S = 1.0
"""Longest time for them, or twice as long as decisions take at the moment where that is more: overload that ends while
they are made is over for callers within it."""

SINGLE_SHARE = 4
"""One place in so many is never taken by the items of batches."""


def makes_one_decision(request: v1.SelectRouteRequest) -> bool:
    """Say whether a request's time tells how fast decisions are: explaining one takes several."""
    return request.view != v1.DecisionView.DECISION_VIEW_EXPLAIN


class LatencyLimit:
    """A limit on decisions at a time, from how much longer they take than without load.

    It is the gradient limit of Netflix/concurrency-limits (Gradient2Limit): each decision moves the limit towards
    ``limit * tolerance * no_load / recent + HEADROOM``, the factor at most 1. Where theirs takes a long mean for the
    latency without load, which overload that lasts pulls up with it, this one measures: at decisions that found the
    server idle, and while calls are refused by letting in no more than `LEAST_LIMIT` for a few decisions.
    """

    def __init__(self, maximum: int, tolerance: float) -> None:
        """Start at `FIRST_LIMIT`, or at `maximum` where that is less or the tolerance is 0, which fixes the limit."""
        self._maximum = maximum
        self._least = min(LEAST_LIMIT, maximum)
        self._tolerance = tolerance
        self._value = float(min(FIRST_LIMIT, maximum) if tolerance else maximum)
        self._no_load_s = self._recent_s = 0.0
        self._no_load_count = 0
        self._stale_at_s = self._measuring_until_s = 0.0

    def at(self, now_s: float) -> int:
        """Tell the limit at a time in seconds: in [1, maximum]."""
        return self._least if now_s < self._measuring_until_s else int(self._value)

    def is_slow(self, duration_s: float) -> bool:
        """Say whether a duration in seconds is longer than is tolerated; False while nothing is known."""
        return bool(self._no_load_count) and duration_s > self._tolerance * self._no_load_s

    def observe(self, duration_s: float, in_flight: int, now_s: float) -> None:
        """Learn from a decision.

        Args:
            duration_s: How long it took, in seconds.
            in_flight: Decisions at a time at its start or its end, whichever is more, itself included.
            now_s: The time, in seconds, of a clock that never goes back.
        """
        if not self._tolerance:
            return
        if in_flight <= self._least:
            self._learn_no_load(duration_s, now_s)
        if now_s < self._measuring_until_s:
            return
        self._recent_s += (duration_s - self._recent_s) * (RECENT_WEIGHT if self._recent_s else 1.0)
        if in_flight >= int(self._value) and now_s >= self._stale_at_s:
            self._no_load_count = 0
            self._measuring_until_s = now_s + max(MEASURING_S, 2 * self._recent_s)
        elif self._no_load_count and in_flight >= self._value / 2:  # else the limit is not what holds calls back
            factor = min(max(self._tolerance * self._no_load_s / self._recent_s, LARGEST_CUT), 1.0)
            target = self._value * factor + HEADROOM
            value = self._value + (SMOOTHING if factor < 1.0 else RECOVERY) * (target - self._value)
            self._value = min(max(value, self._least), self._maximum)

    def _learn_no_load(self, duration_s: float, now_s: float) -> None:
        self._no_load_count += 1
        self._no_load_s += (duration_s - self._no_load_s) * max(1 / self._no_load_count, NO_LOAD_WEIGHT)
        if now_s < self._measuring_until_s and self._no_load_count >= MEASUREMENTS:
            self._measuring_until_s = 0.0
        self._stale_at_s = now_s + NO_LOAD_AGE_S


class Admission:
    """The places of one event loop, counted without a lock: nothing awaits between a look and a step.

    A call takes one place, and is refused when none is free. A batch is let in whatever its size unless others have as
    many items at work as there are places; its items then take their places one by one, ahead of new calls, and leave
    one place in `SINGLE_SHARE` to them.
    """

    def __init__(
        self,
        maximum: int,
        tolerance: float,
        on_limit: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with every place free.

        Args:
            maximum: Decisions at a time at most, >= 1.
            tolerance: How many times its latency without load a decision may take before the limit falls; 0 fixes it.
            on_limit: Told the limit, at first and when it changes.
            clock: Gives seconds.
        """
        self._limit = LatencyLimit(maximum, tolerance)
        self._on_limit = on_limit
        self._clock = clock
        self._in_flight = self._items_in_flight = self._items_let_in = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._told = 0
        self._current_limit()

    def check(self, *, is_batch: bool) -> None:
        """Raise AdmissionError when a call, or a batch, would be refused now."""
        limit = self._current_limit()
        taken = self._items_let_in if is_batch else self._in_flight
        if taken >= limit:
            what = "items of batches" if is_batch else "decisions"
            msg = f"{taken} {what} are being made, and {limit} are let in now (server.max_concurrent_calls)"
            raise AdmissionError(msg, retry_after_s=RETRY_AFTER_S)

    def has_half_free(self) -> bool:
        """Say whether half of the places are free and nobody waits for one, so that work without a caller may begin."""
        return not self._waiting and 2 * self._in_flight <= self._current_limit()

    def admit(self, request: object) -> AbstractContextManager[None]:
        """Let a call with its request in, a batch or one that takes a place; AdmissionError when there is no room."""
        if isinstance(request, v1.BatchSelectRoutesRequest):
            return self.batch(len(request.requests))
        return self.call(is_measured=isinstance(request, v1.SelectRouteRequest) and makes_one_decision(request))

    @contextmanager
    def call(self, *, is_measured: bool) -> Iterator[None]:
        """Hold a place while a call is answered; AdmissionError when none is free.

        Args:
            is_measured: Whether it makes one decision, so that its duration tells something.
        """
        self.check(is_batch=False)
        self._in_flight += 1
        with self._held(is_measured=is_measured):
            yield

    @contextmanager
    def batch(self, item_count: int) -> Iterator[None]:
        """Let a batch in, without a place of its own; AdmissionError when others have enough items."""
        self.check(is_batch=True)
        self._items_let_in += item_count
        try:
            yield
        finally:
            self._items_let_in -= item_count

    @asynccontextmanager
    async def item(self, *, is_measured: bool) -> AsyncIterator[None]:
        """Wait for a place for one item of a batch that has been let in, and hold it."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._give_places()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had its place already
                self._leave_item()
            raise
        try:
            with self._held(is_measured=is_measured):
                yield
        finally:
            self._items_in_flight -= 1
            self._give_places()

    @contextmanager
    def _held(self, *, is_measured: bool) -> Iterator[None]:
        """Give back the place that is held, and learn from how long that was."""
        started_s, in_flight, is_made = self._clock(), self._in_flight, False
        try:
            yield
            is_made = True
        finally:
            now_s = self._clock()
            duration_s = now_s - started_s
            # What fails at once tells nothing of the model; what ends at its deadline, that it is at least that slow.
            if is_measured and (is_made or self._limit.is_slow(duration_s)):
                self._limit.observe(duration_s, max(in_flight, self._in_flight), now_s)
            self._in_flight -= 1
            self._give_places()

    def _leave_item(self) -> None:
        self._in_flight -= 1
        self._items_in_flight -= 1
        self._give_places()

    def _give_places(self) -> None:
        """Let items that wait begin, first come first served."""
        limit = self._current_limit()
        for_items = max(1, limit - limit // SINGLE_SHARE)
        while self._waiting and self._in_flight < limit and self._items_in_flight < for_items:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._in_flight += 1
                self._items_in_flight += 1
                turn.set_result(None)

    def _current_limit(self) -> int:
        limit = self._limit.at(self._clock())
        if limit != self._told:
            self._told = limit
            self._on_limit(limit)
        return limit
