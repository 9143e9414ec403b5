"""A span around each call of the API, where traces are wanted; where they are not, this is not on the way."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import grpc
import structlog
from grpc import StatusCode, aio

from archrouter.rpc.pipeline import API_PATH_PREFIX, SERVER_FAULTS, current_call

SPAN_FIELDS = (
    "policy_set",
    "policy_set_revision",
    "tier",
    "model_version",
    "outcome",
    "route_id",
    "confidence",
    "correlation_id",
    "item_count",
    "failed_item_count",
)
"""Fields of the log line that a span has as well, as far as the call has them."""

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

if TYPE_CHECKING:
    from archrouter.rpc.pipeline import Context, Continuation, Handler


class ServerSpan(Protocol):
    """The span of one call."""

    trace_id: str

    def note(self, fields: Mapping[str, object]) -> None:
        """Set attributes."""
        ...

    def end(self, code: int, *, is_error: bool) -> None:
        """Say how the call ended."""
        ...


StartSpan = Callable[[str, str, Mapping[str, str]], AbstractContextManager[ServerSpan]]
"""Starts the span of a call, by service, method and the caller's metadata."""


class TracingInterceptor(aio.ServerInterceptor):
    """Surrounds what `CallPipeline` made of a call: it must be listed before it."""

    def __init__(self, start_span: StartSpan) -> None:
        """Start spans by `start_span`."""
        self._start_span = start_span

    async def intercept_service(
        self, continuation: "Continuation[RequestT, ResponseT]", handler_call_details: grpc.HandlerCallDetails
    ) -> "Handler[RequestT, ResponseT] | None":
        """Give gRPC the pipeline's handler within a span; of what is no call of the API the handler itself."""
        handler = await continuation(handler_call_details)
        path = handler_call_details.method
        if handler is None or handler.stream_unary is None or not path.startswith(API_PATH_PREFIX):
            return handler
        _, service, method = path.split("/")
        # Any: the type stubs describe handlers of synchronous servers.
        proceed = cast("Callable[[AsyncIterator[bytes], Context], Any]", handler.stream_unary)

        async def answer(messages: AsyncIterator[bytes], context: "Context") -> ResponseT:
            metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            with (
                self._start_span(service, method, metadata) as span,
                structlog.contextvars.bound_contextvars(trace_id=span.trace_id),
            ):
                try:
                    return cast("ResponseT", await proceed(messages, context))
                finally:
                    _end(span)

        return grpc.stream_unary_rpc_method_handler(cast("Any", answer), None, handler.response_serializer)


def _end(span: ServerSpan) -> None:
    """Note what the pipeline has found out by now; it ended in the same context."""
    call = current_call()
    fields = {name: call.log_fields[name] for name in SPAN_FIELDS if name in call.log_fields}
    reason = {"error_reason": call.error_reason} if call.error_reason else {}
    span.note({"decision_id": call.decision_id, **fields, **reason})
    code: StatusCode = call.code
    span.end(code.value[0], is_error=code in SERVER_FAULTS)
