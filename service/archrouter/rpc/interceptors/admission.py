"""Refuses at once what the server could only queue."""

from collections.abc import Iterator
from contextlib import contextmanager

from archrouter.domain.errors import OverloadedError, ShuttingDownError
from archrouter.rpc.health import Health
from archrouter.rpc.interceptors.unary import Behaviour, Context, RequestT, ResponseT, RpcMethod, UnaryInterceptor

OVERLOADED_RETRY_AFTER_S = 0.5
"""A decision takes milliseconds, so a place is free long before; less would only bring the same burst back."""

SHUTTING_DOWN_RETRY_AFTER_S = 0.1
"""The next attempt reaches another process; it only has to find that this one is gone."""


class AdmissionInterceptor(UnaryInterceptor):
    """Gives each call a place or refuses it.

    For one event loop: the count needs no lock, because nothing awaits between the look and the step.
    """

    def __init__(self, max_concurrent_calls: int, health: Health) -> None:
        """Start with all places free.

        Args:
            max_concurrent_calls: How many places there are, >= 1.
            health: Knows when the process takes no further call.
        """
        self._max_concurrent_calls = max_concurrent_calls
        self._health = health
        self._in_flight_count = 0

    async def intercept(
        self, method: RpcMethod, request: RequestT, context: Context, proceed: Behaviour[RequestT, ResponseT]
    ) -> ResponseT:
        """Hold a place for one call. See the base class.

        Raises:
            ShuttingDownError: When the process takes no further call.
            OverloadedError: When no place is free.
        """
        del method
        with self._place():
            return await proceed(request, context)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._health.closed:
            msg = "the process is shutting down"
            raise ShuttingDownError(msg, retry_after_s=SHUTTING_DOWN_RETRY_AFTER_S)
        if self._in_flight_count >= self._max_concurrent_calls:
            msg = f"{self._in_flight_count} calls are in flight (server.max_concurrent_calls)"
            raise OverloadedError(msg, retry_after_s=OVERLOADED_RETRY_AFTER_S)
        self._in_flight_count += 1
        try:
            yield
        finally:
            self._in_flight_count -= 1
