"""Checks the engines of an engines file from where it is run, before a service is told of them."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from archrouter.domain.errors import ArchRouterError
from archrouter.inference.endpoints_file import EngineSpec
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.triton_client import TritonClient

_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """What the checks of one engine gave.

    Attributes:
        engine: The engine.
        reason: Why it may not serve; empty when it may.
    """

    engine: EngineSpec
    reason: str

    @property
    def passed(self) -> bool:
        """Whether it may serve."""
        return not self.reason


async def check_engines(
    engines: Iterable[EngineSpec], *, timeout_s: float, wait_s: float = 0.0
) -> tuple[EngineVerdict, ...]:
    """Do to each engine, all at once, what the service does before it lets one take calls.

    Args:
        engines: The engines.
        timeout_s: Time for the checks of one, > 0.
        wait_s: Time in which one that does not pass is tried again, >= 0; an engine takes a minute to load.

    Returns:
        A verdict for each, in order.
    """
    return tuple(await asyncio.gather(*(_check(engine, timeout_s, wait_s) for engine in engines)))


async def _check(engine: EngineSpec, timeout_s: float, wait_s: float) -> EngineVerdict:
    connection = TritonClient(engine.endpoint, max_concurrent_requests=1)
    backend = LanguageModelBackend(connection, engine.model, engine.bundle)
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + wait_s
    try:
        while True:
            try:
                await backend.warm_up(timeout_s=timeout_s)
            except ArchRouterError as error:
                if loop.time() >= give_up_s:
                    return EngineVerdict(engine, str(error))
                await asyncio.sleep(_PAUSE_S)
            else:
                return EngineVerdict(engine, "")
    finally:
        await backend.close()
