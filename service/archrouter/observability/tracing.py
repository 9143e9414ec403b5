"""Traces by OpenTelemetry: a span for each call of the API, and below it its steps and its calls to Triton.

Only imported where traces are wanted, because it needs the extra ``otel``. What is not set here comes from the
environment variables of OpenTelemetry: headers, certificates, the sampler, the resource.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

EXPORT_TIMEOUT_MS = 3000
"""For one batch; also what the end of the service waits at most for a collector that is away."""

ATTRIBUTE_PREFIX = "archrouter."

_TRITON_SERVICE, _TRITON_METHOD = "inference.GRPCInferenceService", "ModelInfer"
_PROPAGATOR = TraceContextTextMapPropagator()


class CallSpan:
    """The span of one call that is going on.

    Attributes:
        trace_id: Of its trace, 32 hexadecimal digits.
        headers: What tells a further service of the span (W3C Trace Context).
    """

    def __init__(self, span: Span) -> None:
        """Read the context of a span that is the current one."""
        self._span = span
        self.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
        self.headers: dict[str, str] = {}
        _PROPAGATOR.inject(self.headers)

    def note(self, fields: Mapping[str, object]) -> None:
        """Set attributes, named as the fields of the log line."""
        for name, value in fields.items():
            if isinstance(value, str | bool | int | float):
                self._span.set_attribute(ATTRIBUTE_PREFIX + name, value)

    def end(self, code: int, *, is_error: bool) -> None:
        """Say how the call ended, by its gRPC status code. No text of an error goes into a span."""
        self._span.set_attribute("rpc.grpc.status_code", code)
        if is_error:
            self._span.set_status(StatusCode.ERROR)


class Tracing:
    """Starts spans and sends them away."""

    def __init__(self, *processors: SpanProcessor, version: str) -> None:
        """Start with where ended spans go, and the release of the service."""
        self._provider = TracerProvider(resource=_resource(version), shutdown_on_exit=False)
        for processor in processors:
            self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("archrouter", version)

    @contextmanager
    def server_span(self, service: str, method: str, metadata: Mapping[str, str]) -> Iterator[CallSpan]:
        """Span a call of the API, below the caller's span if its metadata tells of one."""
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
        with self._tracer.start_as_current_span(
            f"{service}/{method}",
            context=_PROPAGATOR.extract(metadata),
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield CallSpan(span)

    @contextmanager
    def client_span(self, endpoint: str, model: str) -> Iterator[CallSpan]:
        """Span a call to the model of a Triton at HOST:PORT, below the current span."""
        host, _, port = endpoint.rpartition(":")
        attributes: dict[str, str | int] = {
            "rpc.system": "grpc",
            "rpc.service": _TRITON_SERVICE,
            "rpc.method": _TRITON_METHOD,
            "server.address": host,
            "server.port": int(port),
            ATTRIBUTE_PREFIX + "triton_model": model,
        }
        with self._tracer.start_as_current_span(
            f"{_TRITON_SERVICE}/{_TRITON_METHOD}",
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield CallSpan(span)

    def step_span(self, name: str) -> AbstractContextManager[Span]:
        """Span a step of a decision, ``tokenize`` or ``decide``, below the current span."""
        return self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False)

    def close(self) -> None:
        """Send what has not been sent, as far as the collector takes it in time."""
        self._provider.shutdown()


def service_attributes(version: str) -> Mapping[str, object]:
    """Say who tells of itself, with what OpenTelemetry's own variables add, by the release of the service."""
    return _resource(version).attributes


def _resource(version: str) -> Resource:
    attributes = {SERVICE_VERSION: version}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        attributes[SERVICE_NAME] = "archrouter"
    return Resource.create(attributes)


def otlp_tracing(endpoint: str, version: str) -> Tracing:
    """Trace to a collector by OTLP over gRPC.

    Args:
        endpoint: URL such as ``http://collector:4317``; empty takes it from the environment.
        version: Release of the service.

    Returns:
        Tracing whose spans are sent from a thread.
    """
    exporter = OTLPSpanExporter(endpoint=endpoint or None, timeout=EXPORT_TIMEOUT_MS / 1000)
    return Tracing(BatchSpanProcessor(exporter, export_timeout_millis=EXPORT_TIMEOUT_MS), version=version)
