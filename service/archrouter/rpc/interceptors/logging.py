"""Enters the call, and writes its one line into the log."""

import logging
import re
from collections.abc import Callable
from functools import partial

import structlog
from grpc import StatusCode

from archrouter.application.ports import Clock
from archrouter.rpc.call import Call, enter_call, leave_call
from archrouter.rpc.interceptors.completion import watched
from archrouter.rpc.interceptors.unary import Behaviour, Context, RequestT, ResponseT, RpcMethod, UnaryInterceptor

_log = structlog.get_logger(__name__)

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
"""W3C Trace Context, section 3.2: version, trace id, parent id, flags."""

_LEVELS = {
    StatusCode.UNKNOWN: logging.ERROR,
    StatusCode.INTERNAL: logging.ERROR,
    StatusCode.DATA_LOSS: logging.ERROR,
    StatusCode.UNIMPLEMENTED: logging.WARNING,
    StatusCode.DEADLINE_EXCEEDED: logging.WARNING,
    StatusCode.UNAVAILABLE: logging.WARNING,
}
"""What OpenTelemetry counts as a server's error; every other code is the caller's business and logged as info."""


class LoggingInterceptor(UnaryInterceptor):
    """Gives the call its decision id, and logs how it ended. Never logs what a message holds."""

    def __init__(self, clock: Clock, new_decision_id: Callable[[], str]) -> None:
        """Time by `clock`, name by `new_decision_id`."""
        self._clock = clock
        self._new_decision_id = new_decision_id

    async def intercept(
        self, method: RpcMethod, request: RequestT, context: Context, proceed: Behaviour[RequestT, ResponseT]
    ) -> ResponseT:
        """Log one call. See the base class."""
        call = Call(method.rpc_service, method.rpc_method, self._new_decision_id())
        token = enter_call(call)
        try:
            with (
                watched(context, self._clock, partial(_log_completion, call, context)),
                structlog.contextvars.bound_contextvars(decision_id=call.decision_id),
            ):
                return await proceed(request, context)
        finally:
            leave_call(token)


def _log_completion(call: Call, context: Context, code: StatusCode, duration_s: float) -> None:
    optional = {"error_reason": call.error_reason, "error_cause": call.error_cause, "trace_id": _trace_id(context)}
    _log.log(
        _LEVELS.get(code, logging.INFO),
        "rpc_completed",
        rpc_service=call.rpc_service,
        rpc_method=call.rpc_method,
        grpc_code=code.name,
        duration_s=round(duration_s, 6),
        peer=context.peer(),
        decision_id=call.decision_id,
        **{name: value for name, value in optional.items() if value},
        **call.log_fields,
    )


def _trace_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent" and isinstance(value, str):
            match = _TRACEPARENT.fullmatch(value)
            return match[1] if match else ""
    return ""
