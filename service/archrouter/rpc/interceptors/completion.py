"""How a call ended, seen from outside the error interceptor."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from grpc import StatusCode, aio

from archrouter.application.ports import Clock
from archrouter.rpc.interceptors.unary import Context

_CODE_BY_NUMBER = {code.value[0]: code for code in StatusCode}

DEADLINE_TOLERANCE_S = 0.02
"""A client gives up by its own clock, ahead of the server's by the way of the call and by the timeout's rounding on the
wire: upwards to three digits, so by less than 10 ms below 10 s (grpc/grpc, transport/timeout_encoding.cc)."""


@contextmanager
def watched(context: Context, clock: Clock, record: Callable[[StatusCode, float], None]) -> Iterator[None]:
    """Watch the block that answers a call.

    Args:
        context: The call's gRPC context.
        clock: Measures the block.
        record: Called once when the block is left, with the call's status code and its duration in seconds.

    Yields:
        Nothing. Exceptions pass.
    """
    code = StatusCode.UNKNOWN  # what gRPC itself makes of an exception that nothing has handled
    started_s = clock.monotonic_s()
    try:
        yield
        code = StatusCode.OK
    except asyncio.CancelledError:
        code = StatusCode.DEADLINE_EXCEEDED if _has_expired(context) else StatusCode.CANCELLED
        raise
    except aio.AbortError:
        code = _CODE_BY_NUMBER[_number(context.code())]
        raise
    finally:
        record(code, clock.monotonic_s() - started_s)


def _has_expired(context: Context) -> bool:
    """Tell an expired deadline from a cancellation, which arrives alike: only the former leaves no time."""
    # The type stubs promise a number; grpc.aio gives None for a call without a deadline.
    remaining_s = cast("float | None", context.time_remaining())
    return remaining_s is not None and remaining_s <= DEADLINE_TOLERANCE_S


def _number(code: object) -> int:
    """Return the number of a code: grpc.aio's context gives the number where its documentation promises the enum."""
    return code if isinstance(code, int) else StatusCode(code).value[0]
