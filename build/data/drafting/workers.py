"""Bounded concurrency: a few workers take items in order, and a failed item does not disturb the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from data.drafting.errors import ItemError, StopError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Settled(Generic[ItemT, ResultT]):
    """An item and how the work on it ended.

    Attributes:
        item: The item.
        outcome: What came of it, or why nothing did.
    """

    item: ItemT
    outcome: ResultT | ItemError | StopError


async def settle(
    work: Callable[[ItemT], Awaitable[ResultT]],
    items: Sequence[ItemT],
    worker_count: int,
    on_settled: Callable[[], None],
) -> list[Settled[ItemT, ResultT]]:
    """Work on every item, in order, with a few workers.

    After a `StopError` the remaining items are still tried: what the journal already answers costs nothing.

    Args:
        work: Called once for each item.
        items: In the order in which they are begun.
        worker_count: Items worked on at a time, >= 1; as each has at most one request in flight, also the requests.
        on_settled: Called after each item.

    Returns:
        One per item, in the order of the items.
    """
    settled: dict[int, Settled[ItemT, ResultT]] = {}
    remaining = iter(enumerate(items))

    async def worker() -> None:
        for index, item in remaining:
            try:
                settled[index] = Settled(item, await work(item))
            except (ItemError, StopError) as error:
                settled[index] = Settled(item, error)
            on_settled()

    async with asyncio.TaskGroup() as group:
        for number in range(min(worker_count, len(items))):
            group.create_task(worker(), name=f"worker-{number}")
    return [settled[index] for index in range(len(items))]
