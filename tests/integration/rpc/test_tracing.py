"""Spans of real calls."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from structlog.testing import capture_logs
from tests.support.rpc_service import RpcService, ServiceOptions, eventually, refusal_of, running_service, user_says

from archrouter import v1
from archrouter.domain.errors import BackendUnavailableError
from archrouter.observability.tracing import Tracing

SECRET = "my-secret-invoice-number"  # noqa: S105  # stands for what nobody may read in a trace


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Collect ended spans."""
    return InMemorySpanExporter()


@pytest_asyncio.fixture
async def service(exporter: InMemorySpanExporter) -> AsyncIterator[RpcService]:
    """Serve with traces."""
    tracing = Tracing(SimpleSpanProcessor(exporter), version="1")
    async with running_service(ServiceOptions(start_span=tracing.server_span)) as running:
        yield running
    tracing.close()


async def only_span(exporter: InMemorySpanExporter) -> ReadableSpan:
    """Wait for the span of the one call."""
    await eventually(exporter.get_finished_spans)
    (span,) = exporter.get_finished_spans()
    return span


async def test_a_decision_is_in_its_span(service: RpcService, exporter: InMemorySpanExporter) -> None:
    """Which decision, by which policies and tier, and what came of it; nothing of the conversation."""
    response = await service.routing.SelectRoute(user_says(f"a refund {SECRET}"))

    span = await only_span(exporter)
    attributes = dict(span.attributes or {})
    assert {
        "archrouter.decision_id": response.decision.decision_id,
        "archrouter.policy_set": "support",
        "archrouter.tier": "compact",
        "archrouter.outcome": "matched",
        "archrouter.route_id": "billing",
        "rpc.grpc.status_code": 0,
    }.items() <= attributes.items()
    assert StatusCode.UNSET is span.status.status_code
    assert SECRET not in span.to_json()


async def test_a_failure_of_the_server_is_an_error_of_the_span_and_a_mistake_of_the_caller_is_not(
    service: RpcService, exporter: InMemorySpanExporter
) -> None:
    """As OpenTelemetry's conventions for servers say; neither says what was sent."""
    service.backend.failure = BackendUnavailableError(SECRET, retry_after_s=1)
    await refusal_of(service.routing.SelectRoute(user_says(SECRET)))
    await refusal_of(service.routing.SelectRoute(user_says(SECRET * 1000)))

    await eventually(lambda: len(exporter.get_finished_spans()) == 2)
    fault, mistake = exporter.get_finished_spans()
    assert (StatusCode.ERROR, StatusCode.UNSET) == (fault.status.status_code, mistake.status.status_code)
    codes = [(span.attributes or {})["rpc.grpc.status_code"] for span in (fault, mistake)]
    assert [grpc.StatusCode.UNAVAILABLE.value[0], grpc.StatusCode.INVALID_ARGUMENT.value[0]] == codes
    assert (fault.attributes or {})["archrouter.error_reason"]
    assert SECRET not in fault.to_json() + mistake.to_json()


async def test_a_call_that_its_caller_gave_up_has_a_span(service: RpcService, exporter: InMemorySpanExporter) -> None:
    """It ends with the call, as cancelled."""
    service.backend.gate.clear()
    call = service.routing.SelectRoute(user_says("a refund"))
    await service.backend.waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    span = await only_span(exporter)
    assert grpc.StatusCode.CANCELLED.value[0] == (span.attributes or {})["rpc.grpc.status_code"]


async def test_log_lines_of_a_call_name_the_trace_that_the_service_started(
    service: RpcService, exporter: InMemorySpanExporter
) -> None:
    """A caller without a trace can be followed as well: the line and the span have the same id."""
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as entries:
        await service.routing.SelectRoute(user_says("a refund"))

    span = await only_span(exporter)
    (line,) = [entry for entry in entries if entry["event"] == "rpc_completed"]
    assert f"{span.context.trace_id:032x}" == line["trace_id"]


async def test_a_batch_has_one_span(service: RpcService, exporter: InMemorySpanExporter) -> None:
    """It counts its items."""
    await service.routing.BatchSelectRoutes(v1.BatchSelectRoutesRequest(requests=[user_says("a"), user_says("b")]))

    span = await only_span(exporter)
    assert 2 == (span.attributes or {})["archrouter.item_count"]
