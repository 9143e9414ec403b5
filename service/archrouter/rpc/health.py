"""grpc.health.v1: which service would answer now.

The servicer is this project's own, in few lines, because the one of grpcio-health-checking forgets the other watchers
of a service when one of them leaves, and because its watch streams would hold up every shutdown for the whole grace.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from enum import Enum
from types import MappingProxyType

from grpc import StatusCode, aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse


class Component(Enum):
    """What a service needs in order to answer, and what its operator wants to see."""

    MODEL = "model"
    """A model takes calls."""

    POLICIES = "policies"
    """There is a policy set."""

    ENDPOINTS = "endpoints"
    """The endpoints that are configured are the ones that serve, every one of them."""


WHOLE_SERVER = ""
"""The service name that stands for the server as a whole."""

ENDPOINTS_SERVICE = "archrouter.endpoints"
"""No service to call, but a name to check: whether an exchange of endpoints is complete. Nothing else depends on it."""

_DECIDING = frozenset({Component.MODEL, Component.POLICIES})

COMPONENTS_OF_SERVICE: Mapping[str, frozenset[Component]] = MappingProxyType(
    {
        WHOLE_SERVER: _DECIDING,
        "archrouter.v1.RoutingService": _DECIDING,
        "archrouter.v1.PolicyService": frozenset({Component.POLICIES}),
        ENDPOINTS_SERVICE: frozenset({Component.ENDPOINTS}),
    }
)


class Health:
    """The state of the components, and the health service that tells it.

    Nothing serves before its components are reported ready, nor after `drain`. For one event loop; not thread-safe.

    Attributes:
        closed: Whether the process takes no further call.
    """

    def __init__(self) -> None:
        """Start with nothing ready."""
        self._ready: set[Component] = set()
        self._draining = False
        self.closed = False
        self._changed = asyncio.Event()

    def set_ready(self, component: Component, *, ready: bool) -> None:
        """Report whether a component would do its part now."""
        (self._ready.add if ready else self._ready.discard)(component)
        self._notify()

    def drain(self) -> None:
        """Report every service as NOT_SERVING from now on. Calls are still answered until load balancers take note."""
        self._draining = True
        self._notify()

    def close(self) -> None:
        """Take no further call: admission refuses it from now on.

        Watch streams end, because they would otherwise outlast the calls that a shutdown waits for.
        """
        self._draining = True
        self.closed = True
        self._notify()

    def is_serving(self, service: str) -> bool | None:
        """Say whether a service, or `WHOLE_SERVER`, would answer; None for one this server does not have."""
        needed = COMPONENTS_OF_SERVICE.get(service)
        return None if needed is None else not self._draining and needed <= self._ready

    async def Check(  # noqa: N802  # named by the health protocol
        self, request: HealthCheckRequest, context: aio.ServicerContext[HealthCheckRequest, HealthCheckResponse]
    ) -> HealthCheckResponse:
        """Answer once; NOT_FOUND for a service this server does not have."""
        serving = self.is_serving(request.service)
        if serving is None:
            await context.abort(StatusCode.NOT_FOUND, "unknown service")
        return _response(serving=serving)

    async def Watch(  # noqa: N802  # named by the health protocol
        self, request: HealthCheckRequest, context: aio.ServicerContext[HealthCheckRequest, HealthCheckResponse]
    ) -> AsyncIterator[HealthCheckResponse]:
        """Answer now and at each change, until the caller leaves or the server stops."""
        del context
        last: HealthCheckResponse | None = None
        while True:
            # Both as they were before the answer was made: what changes while it is sent makes another one.
            changed, is_last = self._changed, self.closed
            response = _response(serving=self.is_serving(request.service))
            if response != last:
                yield response
                last = response
            if is_last:
                return
            await changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _response(*, serving: bool | None) -> HealthCheckResponse:
    if serving is None:
        return HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN)
    return HealthCheckResponse(status=HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING)
