"""Fixes by when the answer is due, so that the core gets a number and never reads a gRPC context."""

from typing import cast

from archrouter.application.ports import Clock
from archrouter.rpc.call import current_call
from archrouter.rpc.interceptors.unary import Behaviour, Context, RequestT, ResponseT, RpcMethod, UnaryInterceptor


class DeadlineInterceptor(UnaryInterceptor):
    """Notes the deadline of a call: the caller's, but never later than the server's own."""

    def __init__(self, clock: Clock, max_budget_s: float) -> None:
        """Cap each call.

        Args:
            clock: The service's clock.
            max_budget_s: Seconds for a call without a deadline, and at most for one with it.
        """
        self._clock = clock
        self._max_budget_s = max_budget_s

    async def intercept(
        self, method: RpcMethod, request: RequestT, context: Context, proceed: Behaviour[RequestT, ResponseT]
    ) -> ResponseT:
        """Note the deadline of one call. See the base class."""
        del method
        # The type stubs promise a number; grpc.aio gives None for a call without a deadline.
        remaining_s = cast("float | None", context.time_remaining())
        budget_s = self._max_budget_s if remaining_s is None else min(remaining_s, self._max_budget_s)
        current_call().deadline_s = self._clock.monotonic_s() + budget_s
        return await proceed(request, context)
