"""Bounded work, and the signal that ends it."""

import asyncio

import pytest
from data.drafting.errors import BudgetExhaustedError, InterruptedRunError, RejectedError, Rejection
from data.drafting.stop import StopSignal
from data.drafting.workers import settle


async def test_results_keep_the_order_of_the_items() -> None:
    """Whatever finishes first, the list is that of the items, and every end is reported once."""
    ended = []

    async def work(item: int) -> int:
        await asyncio.sleep(0.001 * (5 - item))
        return item * item

    settled = await settle(work, range(5), 5, lambda: ended.append(1))

    assert [(n, n * n) for n in range(5)] == [(one.item, one.outcome) for one in settled]
    assert 5 == len(ended)


async def test_no_more_workers_than_allowed() -> None:
    """Two workers have at most two items in hand."""
    in_hand, most = 0, 0

    async def work(item: int) -> None:
        nonlocal in_hand, most
        del item
        in_hand += 1
        most = max(most, in_hand)
        await asyncio.sleep(0.001)
        in_hand -= 1

    await settle(work, range(6), 2, lambda: None)

    assert 2 == most


async def test_failed_items_do_not_disturb_the_others() -> None:
    """Rejection and the end of the budget belong to their items; what comes after is still tried."""
    errors = {1: RejectedError(Rejection.NOT_COHERENT, "no"), 2: BudgetExhaustedError("empty")}

    async def work(item: int) -> int:
        await asyncio.sleep(0)
        if item in errors:
            raise errors[item]
        return item

    settled = await settle(work, range(4), 2, lambda: None)

    assert [0, errors[1], errors[2], 3] == [one.outcome for one in settled]


async def test_defect_in_the_work_is_not_swallowed() -> None:
    """Only the errors of this program are outcomes; a defect ends the run with its traceback."""

    async def work(item: int) -> None:
        await asyncio.sleep(0)
        raise KeyError(item)

    with pytest.raises(ExceptionGroup) as raised:
        await settle(work, range(1), 1, lambda: None)

    assert raised.group_contains(KeyError)


async def test_first_reason_to_stop_stays() -> None:
    """Whoever asks later hears why the run really ended."""
    stop = StopSignal()
    first = BudgetExhaustedError("empty")

    stop.set(first)
    stop.set(InterruptedRunError("Ctrl-C"))

    with pytest.raises(BudgetExhaustedError, match="empty"):
        stop.raise_if_set()
    with pytest.raises(BudgetExhaustedError):
        await stop.pause(60)


async def test_race_gives_the_result_when_nothing_stops_it() -> None:
    """Waiting under the signal is waiting."""

    async def wait() -> int:
        await asyncio.sleep(0)
        return 7

    assert 7 == await StopSignal().race(wait())
