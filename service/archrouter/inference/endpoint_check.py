"""Checks the endpoints of an endpoints file from where it is run, before a service is told of them."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from archrouter.domain.errors import ArchRouterError
from archrouter.inference.connect import connect
from archrouter.inference.endpoint import EndpointSpec

_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class EndpointVerdict:
    """What the checks of one endpoint gave.

    Attributes:
        endpoint: The endpoint.
        reason: Why it may not serve; empty when it may.
    """

    endpoint: EndpointSpec
    reason: str

    @property
    def passed(self) -> bool:
        """Whether it may serve."""
        return not self.reason


async def check_endpoints(
    endpoints: Iterable[EndpointSpec], *, timeout_s: float, wait_s: float = 0.0
) -> tuple[EndpointVerdict, ...]:
    """Do to each endpoint, all at once, what the service does before it lets one take calls.

    Args:
        endpoints: The endpoints, each with a bundle.
        timeout_s: Time for the checks of one, > 0.
        wait_s: Time in which one that does not pass is tried again, >= 0; a TensorRT engine takes a minute to load.

    Returns:
        A verdict for each, in order.
    """
    return tuple(await asyncio.gather(*(_check(endpoint, timeout_s, wait_s) for endpoint in endpoints)))


async def _check(endpoint: EndpointSpec, timeout_s: float, wait_s: float) -> EndpointVerdict:
    model = connect(endpoint, max_concurrent_requests=1)
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + wait_s
    try:
        while True:
            try:
                await model.warm_up(timeout_s=timeout_s)
            except ArchRouterError as error:
                if loop.time() >= give_up_s:
                    return EndpointVerdict(endpoint, str(error))
                await asyncio.sleep(_PAUSE_S)
            else:
                return EndpointVerdict(endpoint, "")
    finally:
        await model.close()
