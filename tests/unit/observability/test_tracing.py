"""Spans as a collector gets them."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from archrouter.observability.tracing import Tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Collect ended spans."""
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Iterator[Tracing]:
    """Trace into the collection."""
    tracing = Tracing(SimpleSpanProcessor(exporter), version="9.8.7")
    yield tracing
    tracing.close()


def test_spans_follow_the_conventions_and_hang_together(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    """The call's span is below the caller's, that of Triton below the call's, and Triton is told of its own."""
    with tracing.server_span(
        "archrouter.v1.RoutingService", "SelectRoute", {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    ) as call:
        with tracing.client_span("127.0.0.1:8001", "compact_router") as triton:
            triton.end(0, is_error=False)
        with tracing.step_span("decide"):
            pass
        call.note({"outcome": "matched", "confidence": 0.5, "reasons": ["no", "list"]})
        call.end(0, is_error=False)

    inner, step, outer = exporter.get_finished_spans()
    assert ("decide", outer.context) == (step.name, step.parent)
    assert ("archrouter.v1.RoutingService/SelectRoute", SpanKind.SERVER) == (outer.name, outer.kind)
    assert {
        "rpc.system": "grpc",
        "rpc.service": "archrouter.v1.RoutingService",
        "rpc.method": "SelectRoute",
        "rpc.grpc.status_code": 0,
        "archrouter.outcome": "matched",
        "archrouter.confidence": 0.5,
    } == dict(outer.attributes or {})
    assert {
        "rpc.system": "grpc",
        "rpc.service": "inference.GRPCInferenceService",
        "rpc.method": "ModelInfer",
        "server.address": "127.0.0.1",
        "server.port": 8001,
        "archrouter.triton_model": "compact_router",
        "rpc.grpc.status_code": 0,
    } == dict(inner.attributes or {})
    assert SpanKind.CLIENT is inner.kind
    assert outer.parent is not None
    assert inner.parent is not None
    assert (int(TRACE, 16), int(PARENT, 16)) == (outer.parent.trace_id, outer.parent.span_id)
    assert outer.context.span_id == inner.parent.span_id
    assert TRACE == call.trace_id
    assert f"00-{TRACE}-{inner.context.span_id:016x}-01" == triton.headers["traceparent"]
    assert ("archrouter", "9.8.7") == (
        outer.resource.attributes["service.name"],
        outer.resource.attributes["service.version"],
    )


def test_a_span_of_a_failure_holds_no_text_of_it(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    """An exception may quote what somebody wrote; its code is enough."""

    def fail() -> None:
        """Fail within a span."""
        with tracing.server_span("s", "m", {}) as span:
            span.end(13, is_error=True)
            message = "secret"
            raise ValueError(message)

    with pytest.raises(ValueError, match="secret"):
        fail()

    (ended,) = exporter.get_finished_spans()
    assert (StatusCode.ERROR, None) == (ended.status.status_code, ended.status.description)
    assert () == ended.events
    assert "secret" not in ended.to_json()


def test_a_caller_without_context_starts_a_trace(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    """Also one whose context is malformed."""
    for metadata in ({}, {"traceparent": "00-nonsense"}):
        with tracing.server_span("s", "m", metadata) as span:
            assert span.trace_id != "0" * 32

    assert [None, None] == [ended.parent for ended in exporter.get_finished_spans()]


def test_the_name_of_the_service_may_come_from_the_environment(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTelemetry's own variable wins over this service's default."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "router-of-ours")
    tracing = Tracing(SimpleSpanProcessor(exporter), version="1")

    with tracing.server_span("s", "m", {}):
        pass

    assert "router-of-ours" == exporter.get_finished_spans()[0].resource.attributes["service.name"]
