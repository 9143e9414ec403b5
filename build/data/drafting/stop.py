"""How a run is told to end: once, for one reason, heard by everything that waits."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from data.drafting.errors import StopError

ResultT = TypeVar("ResultT")


class StopSignal:
    """Set at most once; the first reason stays."""

    def __init__(self) -> None:
        """Start unset."""
        self._event = asyncio.Event()
        self.reason: StopError | None = None

    def set(self, reason: StopError) -> None:
        """Tell everyone who waits why to stop."""
        if self.reason is None:
            self.reason = reason
            self._event.set()

    def raise_if_set(self) -> None:
        """End the caller with the reason when the signal is set."""
        if self.reason is not None:
            raise self.reason.with_traceback(None)  # raised many times; tracebacks would pile up on it

    async def race(self, waiting: Awaitable[ResultT]) -> ResultT:
        """Wait for something that costs nothing to give up, such as a pause.

        Raises:
            StopError: When the signal is or gets set; what was waited for is cancelled.
        """
        wanted = asyncio.ensure_future(waiting)
        stopped = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({wanted, stopped}, return_when=asyncio.FIRST_COMPLETED)
            self.raise_if_set()
            return wanted.result()
        finally:
            wanted.cancel()
            stopped.cancel()

    async def pause(self, delay_s: float) -> None:
        """Sleep, or raise the reason as soon as the signal is set."""
        await self.race(asyncio.sleep(delay_s))
