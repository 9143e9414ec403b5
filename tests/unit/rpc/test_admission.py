"""Admission: how the limit follows a simulated model, and who gets a place."""

import asyncio
import heapq
import random
import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import pytest

from archrouter.rpc.admission import FIRST_LIMIT, HEADROOM, LEAST_LIMIT, Admission, LatencyLimit
from archrouter.rpc.errors import AdmissionError

MEAN_S = 0.014
"""What a decision of the compact tier takes, in seconds."""


def ignore(_limit: int) -> None:
    """Report nothing."""


def fixed(maximum: int) -> Admission:
    """Build one whose limit stays."""
    return Admission(maximum, 0.0, ignore)


@dataclass
class Model:
    """A model with `servers` workers and one queue, before which an admission stands; its time is simulated.

    Attributes:
        durations_s: Of what was let in, from arrival to answer, with the time of the arrival.
        refused_at_s: When something was refused.
        limits: Each limit that was told.
    """

    servers: int
    mean_s: float = MEAN_S
    maximum: int = 64
    tolerance: float = 2.0
    seed: int = 1
    now_s: float = 0.0
    durations_s: list[tuple[float, float]] = field(default_factory=list)
    refused_at_s: list[float] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Put the admission before the queue."""
        self.random = random.Random(self.seed)  # noqa: S311  # simulates arrivals
        self.admission = Admission(self.maximum, self.tolerance, self.limits.append, lambda: self.now_s)
        self.free_at_s = [0.0] * self.servers
        self.answers: list[tuple[float, int, float, AbstractContextManager[None]]] = []

    def run(self, rate: float, duration_s: float) -> None:
        """Let calls arrive, independent of each other, so many a second and so long."""
        end_s = self.now_s + duration_s
        arrival_s = self.now_s
        while (arrival_s := arrival_s + self.random.expovariate(rate)) < end_s:
            self._answer_until(arrival_s)
            self._arrive()
        self._answer_until(end_s)

    def _answer_until(self, time_s: float) -> None:
        while self.answers and self.answers[0][0] <= time_s:
            self.now_s, _, arrived_s, place = heapq.heappop(self.answers)
            place.__exit__(None, None, None)
            self.durations_s.append((arrived_s, self.now_s - arrived_s))
        self.now_s = time_s

    def _arrive(self) -> None:
        place = self.admission.call(is_measured=True)
        try:
            place.__enter__()
        except AdmissionError:
            self.refused_at_s.append(self.now_s)
            return
        starts_s = max(heapq.heappop(self.free_at_s), self.now_s)
        # Conversations differ in length: half of the time is the same for all of them.
        ends_s = starts_s + self.mean_s * (0.5 + 0.5 * self.random.expovariate(1.0))
        heapq.heappush(self.free_at_s, ends_s)
        heapq.heappush(self.answers, (ends_s, len(self.durations_s) + len(self.answers), self.now_s, place))

    def since(self, time_s: float) -> list[float]:
        """Return the durations of what arrived after a time, in seconds."""
        return [duration_s for arrived_s, duration_s in self.durations_s if arrived_s >= time_s]


def p99(values: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(values, n=100)[98]


@pytest.mark.parametrize("servers", [1, 2, 8])
def test_at_twice_capacity_latency_is_bounded_and_nothing_of_the_capacity_is_lost(servers: int) -> None:
    """Accepted p99 is at most 3 times that at half load, and at least 0.9 of what the model can do is done."""
    capacity = servers / MEAN_S
    half = Model(servers)
    half.run(capacity / 2, 60)
    twice = Model(servers)
    twice.run(capacity * 2, 60)

    assert p99(twice.since(0)) <= 3 * p99(half.since(0))
    assert len(twice.durations_s) >= 0.9 * capacity * 60
    assert len(half.refused_at_s) <= 0.01 * len(half.durations_s)


def test_overload_that_lasts_does_not_raise_the_limit() -> None:
    """After five minutes the limit is what it was after one: no mean follows the overload upwards."""
    model = Model(2)
    model.run(4 / MEAN_S, 60)
    after_one = statistics.mean(model.limits[-100:])
    model.run(4 / MEAN_S, 240)
    after_five = statistics.mean(model.limits[-100:])

    assert abs(after_five - after_one) < 3


def test_a_server_that_starts_into_overload_finds_its_limit() -> None:
    """Nothing was ever measured without load, and yet after two seconds calls are as fast as later."""
    model = Model(2)
    model.run(4 / MEAN_S, 30)

    assert p99(model.since(2.0)[: len(model.since(2.0)) // 2]) <= 1.5 * p99(model.since(15.0))


def test_once_decisions_are_fast_again_the_limit_rises_at_once() -> None:
    """A few tens of them make room for the bursts of an ordinary load."""
    limit = LatencyLimit(64, 2.0)
    for _ in range(50):
        limit.observe(0.01, LEAST_LIMIT, 0.0)
    for _ in range(200):
        limit.observe(0.05, limit.at(0.0), 0.0)
    in_overload = limit.at(0.0)
    for _ in range(40):
        limit.observe(0.01, limit.at(0.0), 0.0)

    assert 3 * in_overload <= limit.at(0.0)


def test_after_overload_nothing_is_refused_within_a_second() -> None:
    """Half load is served whole again."""
    model = Model(2)
    model.run(4 / MEAN_S, 30)
    model.run(1 / MEAN_S, 30)

    assert [] == [time_s for time_s in model.refused_at_s if time_s > 31]


def test_a_model_that_gets_slower_is_measured_anew() -> None:
    """Longer conversations are no overload: the limit is not held down by what decisions took before."""
    model = Model(8)
    model.run(16 / MEAN_S, 30)
    model.mean_s *= 5
    model.run(16 / MEAN_S, 30)
    slow_s = [arrived_s for arrived_s, _ in model.durations_s if arrived_s > 45]

    assert len(slow_s) >= 0.9 * 15 * 8 / model.mean_s


def test_a_model_that_takes_seconds_is_measured_too() -> None:
    """The time for measuring grows with what decisions take, or such a model would be measured for ever."""
    model = Model(4, mean_s=3.0)
    model.run(8 / 3.0, 600)

    assert len(model.durations_s) >= 0.8 * 600 * 4 / 3.0


def test_a_model_with_room_raises_the_limit_to_the_maximum() -> None:
    """One that answers 100 calls as fast as one is not held back, and refuses nothing once that is known."""
    model = Model(100)
    model.run(10, 5)
    model.run(60 / MEAN_S, 10)

    assert 64 == model.limits[-1]
    assert [] == [time_s for time_s in model.refused_at_s if time_s > 6 and model.limits[-1] < 64]


def test_limit_without_tolerance_stays() -> None:
    """Zero fixes the limit at the maximum, however slow decisions are."""
    limit = LatencyLimit(64, 0.0)
    for number in range(1000):
        limit.observe(number, 64, float(number))

    assert 64 == limit.at(1000.0)


def test_one_outlier_moves_the_limit_little() -> None:
    """A single decision that takes a hundred times as long halves nothing."""
    limit = LatencyLimit(64, 2.0)
    for number in range(100):
        limit.observe(0.01, 1, number * 0.01)
        limit.observe(0.01, 64, number * 0.01)
    before = limit.at(1.0)

    limit.observe(1.0, 64, 1.0)

    assert limit.at(1.0) >= 0.9 * before


def test_limit_is_between_the_least_and_the_maximum() -> None:
    """Neither decisions that get ever slower nor a small maximum lead out of the range."""
    small, slow = LatencyLimit(1, 2.0), LatencyLimit(64, 2.0)
    for number in range(1000):
        small.observe(0.01, 1, number * 0.01)
        slow.observe(0.01 * (1 + number), 1 if number < 10 else 64, number * 0.001)

    assert 1 == small.at(100.0)
    assert LEAST_LIMIT <= slow.at(100.0) <= LEAST_LIMIT + 2 * HEADROOM


def test_calls_within_the_first_limit_are_let_in_before_anything_is_known() -> None:
    """A start is no overload."""
    admission = Admission(64, 2.0, ignore)
    held = [admission.call(is_measured=True) for _ in range(FIRST_LIMIT)]
    for place in held:
        place.__enter__()

    with pytest.raises(AdmissionError, match=r"server\.max_concurrent_calls"):
        admission.check(is_batch=False)


def test_what_fails_at_once_teaches_nothing() -> None:
    """Calls that fail in no time do not make the model look fast."""
    now_s = 0.0

    def clock() -> float:
        return now_s

    admission = Admission(64, 2.0, ignore, clock)
    for _ in range(100):
        with pytest.raises(ConnectionError), admission.call(is_measured=True):
            raise ConnectionError

    assert not admission._limit.is_slow(1.0)


async def hold(admission: Admission, opened: asyncio.Event, began: Callable[[], None]) -> None:
    """Make one item of a batch that lasts until the gate is open."""
    async with admission.item(is_measured=True):
        began()
        await opened.wait()


async def test_a_full_batch_enters_a_busy_server_and_leaves_places_to_others() -> None:
    """A batch of 64 needs no idle server; its items take at most three of four places, and calls go on."""
    admission, opened, begun = fixed(8), asyncio.Event(), 0

    def began() -> None:
        nonlocal begun
        begun += 1

    with admission.call(is_measured=True), admission.batch(64):
        items = [asyncio.create_task(hold(admission, opened, began)) for _ in range(64)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        begun_while_held = begun
        with admission.call(is_measured=True):
            refused = False
        with pytest.raises(AdmissionError, match="items of batches"):
            admission.check(is_batch=True)
        opened.set()
        await asyncio.gather(*items)

    assert 6 == begun_while_held
    assert not refused
    assert 64 == begun
    admission.check(is_batch=True)


async def test_items_that_wait_come_before_new_calls() -> None:
    """A batch is not starved by calls that come all the time."""
    admission, opened, order = fixed(2), asyncio.Event(), []
    first, second = admission.call(is_measured=True), admission.call(is_measured=True)
    first.__enter__()
    second.__enter__()
    with admission.batch(1):
        item = asyncio.create_task(hold(admission, opened, lambda: order.append("item")))
        await asyncio.sleep(0)

        first.__exit__(None, None, None)
        with pytest.raises(AdmissionError):
            admission.check(is_batch=False)
        await asyncio.sleep(0)
        opened.set()
        await item
    second.__exit__(None, None, None)

    assert ["item"] == order


async def test_a_batch_that_is_given_up_frees_every_place() -> None:
    """Items that wait and items that work are both gone."""
    admission, opened = fixed(2), asyncio.Event()
    with admission.batch(8):
        items = [asyncio.create_task(hold(admission, opened, lambda: None)) for _ in range(8)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for item in items:
            item.cancel()
        await asyncio.gather(*items, return_exceptions=True)

    with admission.call(is_measured=True), admission.call(is_measured=True):
        pass


async def test_an_item_cancelled_as_it_gets_its_place_gives_it_back() -> None:
    """The place is neither lost nor counted twice."""
    admission, opened = fixed(1), asyncio.Event()
    held = admission.call(is_measured=True)
    held.__enter__()
    with admission.batch(1):
        item = asyncio.create_task(hold(admission, opened, lambda: None))
        await asyncio.sleep(0)
        held.__exit__(None, None, None)
        item.cancel()
        await asyncio.gather(item, return_exceptions=True)

    admission.check(is_batch=False)
    admission.check(is_batch=True)
