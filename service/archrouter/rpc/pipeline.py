"""What every call of the API passes: who calls, whether there is room, what went wrong, one log line, the counts.

Health and reflection are exempt: probes and tools reach them without credentials and under any load.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import grpc
import structlog
import uuid_utils
from google.protobuf.message import DecodeError
from grpc import StatusCode, aio
from grpc_status import rpc_status

from archrouter.domain.errors import BudgetExceededError, InvalidRequestError
from archrouter.domain.findings import error_at
from archrouter.observability.metrics import Metrics
from archrouter.rpc.admission import Admission
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.authentication.scopes import OPEN_SCOPES, REQUIRED_SCOPES, Caller, RpcMethod
from archrouter.rpc.errors import AuthorizationError, RequestTooLargeError, ShuttingDownError
from archrouter.rpc.health import Health
from archrouter.rpc.status import Failure, describe_failure

API_PATH_PREFIX = "/archrouter.v1."

DECISION_ID_KEY = "archrouter-decision-id"
"""Trailing metadata of each call of the API, whether it succeeds or not."""

SHUTTING_DOWN_RETRY_AFTER_S = 0.1
"""The next attempt reaches another process; it only has to find that this one is gone."""

DEADLINE_TOLERANCE_S = 0.02
"""A client gives up by its own clock, ahead of the server's by the way of the call and by the timeout's rounding on the
wire: upwards to three digits, so by less than 10 ms below 10 s (grpc/grpc, transport/timeout_encoding.cc)."""

_log = structlog.get_logger(__name__)

_LEVELS = {
    StatusCode.UNKNOWN: logging.ERROR,
    StatusCode.INTERNAL: logging.ERROR,
    StatusCode.DATA_LOSS: logging.ERROR,
    StatusCode.UNIMPLEMENTED: logging.WARNING,
    StatusCode.DEADLINE_EXCEEDED: logging.WARNING,
    StatusCode.UNAVAILABLE: logging.WARNING,
}
"""What OpenTelemetry counts as a server's error; every other code is the caller's business and logged as info."""

SERVER_FAULTS = frozenset(_LEVELS)

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
"""W3C Trace Context, section 3.2: version, trace id, parent id, flags."""

_THIS_MACHINE = re.compile(r"unix|ipv4:127\.|ipv6:(?:\[|%5B)(?:::1(?:\]|%5D)|::ffff:127\.)", re.IGNORECASE)
"""How gRPC writes a peer on this machine. Where nobody authenticates, such a caller is the operator."""

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
Context: TypeAlias = aio.ServicerContext[Any, Any]  # Any: the pipeline serves every message type

if TYPE_CHECKING:  # generic in the type stubs only
    Handler: TypeAlias = grpc.RpcMethodHandler[RequestT, ResponseT]
    Continuation: TypeAlias = Callable[[grpc.HandlerCallDetails], Awaitable[Handler[RequestT, ResponseT] | None]]


@dataclass(slots=True)
class Call:
    """One call of the API: the one record that the pipeline and the servicer complete and the log line is made from.

    It lives in a context variable, so the tasks of a batch share it.

    Attributes:
        method: What is called.
        decision_id: Id the call is known under in the log, in the response and in trailing metadata.
        deadline_s: Moment on `time.monotonic` by which the answer is due, in seconds.
        error_reason: Name of the ErrorReason sent; empty while nothing has failed.
        error_cause: What the caller is not told about the failure; empty when there is no more to say.
        log_fields: Further fields of the call's log line.
        caller: Who calls; None where nobody has to authenticate, and until it is known.
        code: How it ended; UNKNOWN while it goes on.
    """

    method: RpcMethod
    decision_id: str
    deadline_s: float
    error_reason: str = ""
    error_cause: str = ""
    log_fields: dict[str, object] = field(default_factory=dict)
    caller: Caller | None = None
    code: StatusCode = StatusCode.UNKNOWN


_CURRENT: ContextVar[Call] = ContextVar("archrouter_call")


def current_call() -> Call:
    """Return the call that is being answered; LookupError outside of any."""
    return _CURRENT.get()


def new_decision_id() -> str:
    """Make the id of one decision: a UUIDv7 (RFC 9562, section 5.7), unique and ordered by time, in 36 characters."""
    return str(uuid_utils.uuid7())


def record_failure(error: Exception, decision_id: str) -> Failure:
    """Note a failure in the current call's log line, and describe it for the caller.

    Of several failures of one batch the first is noted. A failure that is the server's own fault gets a log line with
    its traceback as well.
    """
    failure = describe_failure(error, decision_id)
    call = current_call()
    if not call.error_reason:
        call.error_reason, call.error_cause = failure.reason, failure.cause
    if failure.status.code == StatusCode.INTERNAL.value[0]:
        _log.error("rpc_failed", decision_id=decision_id, error_reason=failure.reason, exc_info=error)
    return failure


class CallPipeline(aio.ServerInterceptor):
    """Surrounds the unary calls of this API."""

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        authenticator: Authenticator | None,
        admission: Admission,
        *,
        max_request_bytes: int,
        default_deadline_s: float,
        max_budget_s: float,
    ) -> None:
        """Bind to what is asked of each call.

        Without an authenticator everybody may do everything but administration. A call without a deadline has
        `default_deadline_s`; `max_budget_s` is the most that is used of either, in seconds.
        """
        self._metrics = metrics
        self._health = health
        self._authenticator = authenticator
        self._admission = admission
        self._max_request_bytes = max_request_bytes
        self._default_deadline_s = default_deadline_s
        self._max_budget_s = max_budget_s

    async def intercept_service(
        self, continuation: "Continuation[RequestT, ResponseT]", handler_call_details: grpc.HandlerCallDetails
    ) -> "Handler[RequestT, ResponseT] | None":
        """Give gRPC the handler of a call, surrounded if it is a unary call of this API.

        The handler it gets reads a stream, of which the pipeline takes the one message. A unary handler would be
        called when gRPC has received and decoded the message: for a message that never comes there would be no end,
        and for one that cannot be decoded the caller would get the text of the decoder's exception.
        """
        handler = await continuation(handler_call_details)
        path = handler_call_details.method
        if handler is None or handler.unary_unary is None or not path.startswith(API_PATH_PREFIX):
            return handler
        _, rpc_service, rpc_method = path.split("/")
        method = RpcMethod(rpc_service, rpc_method)

        async def answer(_messages: object, context: Context) -> ResponseT:
            return await self._answer(method, handler, context)

        return grpc.stream_unary_rpc_method_handler(cast("Any", answer), None, handler.response_serializer)

    async def _answer(self, method: RpcMethod, handler: "Handler[RequestT, ResponseT]", context: Context) -> ResponseT:
        """Answer one call, whatever happens, and record how it ended. gRPC runs each call in a task of its own."""
        started_s = time.monotonic()
        # The type stubs promise a number; grpc.aio gives None for a call without a deadline.
        remaining_s = cast("float | None", context.time_remaining())
        budget_s = min(self._default_deadline_s if remaining_s is None else remaining_s, self._max_budget_s)
        call = Call(method, new_decision_id(), started_s + budget_s)
        _CURRENT.set(call)
        structlog.contextvars.bind_contextvars(decision_id=call.decision_id)
        trailing_metadata = ((DECISION_ID_KEY, call.decision_id),)
        context.set_trailing_metadata(trailing_metadata)
        self._metrics.rpc_in_flight.inc()
        code = StatusCode.UNKNOWN
        try:
            response = await self._run(call, handler, context)
            code = StatusCode.OK
            return response  # noqa: TRY300  # the code is set by then
        except asyncio.CancelledError:
            code = StatusCode.DEADLINE_EXCEEDED if _has_expired(context) else StatusCode.CANCELLED
            raise
        except Exception as error:  # noqa: BLE001  # the one place where every exception ends
            rich = rpc_status.to_status(record_failure(error, call.decision_id).status)
            code = rich.code
        finally:
            self._record(call, context, code, time.monotonic() - started_s)
        # Not by abort_with_status: instrumentation that wraps the context sees the code only here.
        return await context.abort(rich.code, rich.details, (*rich.trailing_metadata, *trailing_metadata))

    async def _run(self, call: Call, handler: "Handler[RequestT, ResponseT]", context: Context) -> ResponseT:
        await self._authorize(call, context)
        if self._health.closed:
            msg = "the process is shutting down"
            raise ShuttingDownError(msg, retry_after_s=SHUTTING_DOWN_RETRY_AFTER_S)
        # Nothing is received for a call that would be refused anyhow.
        self._admission.check(is_batch=call.method.rpc_method == "BatchSelectRoutes")
        # The type stubs describe handlers of synchronous servers; those of grpc.aio are coroutine functions.
        proceed = cast("Callable[[RequestT, Context], Awaitable[ResponseT]]", handler.unary_unary)
        encoded = await _receive(call, context)
        if len(encoded) > self._max_request_bytes:
            raise RequestTooLargeError(byte_count=len(encoded), max_byte_count=self._max_request_bytes)
        request = _decoded(call, cast("Callable[[bytes], RequestT]", handler.request_deserializer), encoded)
        with self._admission.admit(request):
            return await proceed(request, context)

    async def _authorize(self, call: Call, context: Context) -> None:
        required = REQUIRED_SCOPES[call.method]
        if self._authenticator is None:
            allowed = required in OPEN_SCOPES or bool(_THIS_MACHINE.match(context.peer()))
        else:
            call.caller = await self._authenticator.authenticate(
                context.invocation_metadata() or (), context.auth_context()
            )
            call.log_fields["caller"] = call.caller.name
            allowed = call.caller.may(required)
        if not allowed:
            raise AuthorizationError(required.value)

    def _record(self, call: Call, context: Context, code: StatusCode, duration_s: float) -> None:
        call.code = code
        service, method = call.method.rpc_service, call.method.rpc_method
        self._metrics.rpc_in_flight.dec()
        self._metrics.rpc_requests.labels(service, method, code.name).inc()
        self._metrics.rpc_duration.labels(service, method).observe(duration_s)
        optional = {"error_reason": call.error_reason, "error_cause": call.error_cause, "trace_id": _trace_id(context)}
        _log.log(
            _LEVELS.get(code, logging.INFO),
            "rpc_completed",
            rpc_service=service,
            rpc_method=method,
            grpc_code=code.name,
            duration_s=round(duration_s, 6),
            peer=context.peer(),
            decision_id=call.decision_id,
            **{name: value for name, value in optional.items() if value},
            **call.log_fields,
        )


async def _receive(call: Call, context: Context) -> bytes:
    """Wait for the request until the deadline.

    The iterator that gRPC hands over as well would be left unfinished, which asyncio cleans up with a task for each.
    """
    try:
        async with asyncio.timeout(call.deadline_s - time.monotonic()):
            message: object = await context.read()
    except TimeoutError as error:
        raise BudgetExceededError(remaining_s=0.0) from error
    if not isinstance(message, bytes):  # the stream ended before it
        raise _malformed(call)
    return message


def _decoded(call: Call, decode: Callable[[bytes], RequestT], encoded: bytes) -> RequestT:
    try:
        return decode(encoded)
    except DecodeError as error:
        raise _malformed(call) from error


def _malformed(call: Call) -> InvalidRequestError:
    text = f"the bytes are no request of {call.method.rpc_method}; use a client generated from archrouter/v1"
    return InvalidRequestError((error_at("", text),))


def _has_expired(context: Context) -> bool:
    """Tell an expired deadline from a cancellation, which arrives alike: only the former leaves no time."""
    remaining_s = cast("float | None", context.time_remaining())
    return remaining_s is not None and remaining_s <= DEADLINE_TOLERANCE_S


def _trace_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "traceparent" and isinstance(value, str) and (match := _TRACEPARENT.fullmatch(value)):
            return match[1]
    return ""
