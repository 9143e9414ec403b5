"""One trace from the caller over the service to Triton, and to a collector."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from grpc import StatusCode, aio
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.support.fake_triton import Context, fake_triton, response
from tests.support.service_runs import Caller, service_in_process
from tritonclient.grpc import service_pb2

from archrouter import v1
from archrouter.config import PoliciesSettings, ServerSettings, Settings, TracingSettings, TritonSettings
from archrouter.domain.errors import ArchRouterError
from archrouter.inference import tensors
from archrouter.inference.triton_client import TritonClient
from archrouter.observability.tracing import Tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
REQUEST = v1.SelectRouteRequest(
    messages=[v1.Message(role=v1.Role.ROLE_USER, content="my python script crashes, please fix it")]
)


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans it gets."""

    def __init__(self) -> None:
        """Start with none."""
        self.spans: list[Span] = []

    async def Export(  # noqa: N802  # the protocol's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, _context: Context
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Take spans."""
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


@asynccontextmanager
async def collecting(collector: Collector) -> AsyncIterator[str]:
    """Serve a collector and give its URL."""
    server = aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)


def serving(
    triton_endpoint: str, root: Path, tmp_path: Path, collector_url: str
) -> AbstractAsyncContextManager[Caller]:
    """Run the whole service in this process, over a real Triton."""
    settings = Settings(
        server=ServerSettings(listen="127.0.0.1:0", drain_delay_s=0.0),
        policies=PoliciesSettings(directory=str(root / "examples" / "policies"), default="llm-gateway"),
        triton=TritonSettings(endpoint=triton_endpoint),
        tracing=TracingSettings(otlp_endpoint=collector_url),
    )
    return service_in_process(settings, tmp_path)


async def test_a_collector_gets_the_callers_trace_down_to_triton(
    triton_endpoint: str, root: Path, tmp_path: Path
) -> None:
    """What the caller began goes on in the service and below it, over a real Triton and OTLP."""
    collector = Collector()
    async with collecting(collector) as url, serving(triton_endpoint, root, tmp_path, url) as service:
        stub: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(service.channel)
        answer = await stub.SelectRoute(REQUEST, metadata=(("traceparent", f"00-{TRACE}-{PARENT}-01"),))
        async with asyncio.timeout(20):
            while not any(span.name.endswith("/SelectRoute") for span in collector.spans):
                await asyncio.sleep(0.05)

    of_the_call = {span.name: span for span in collector.spans if span.trace_id.hex() == TRACE}
    server = of_the_call["archrouter.v1.RoutingService/SelectRoute"]
    triton = of_the_call["inference.GRPCInferenceService/ModelInfer"]
    assert (PARENT, server.span_id) == (server.parent_span_id.hex(), triton.parent_span_id)
    decided = of_the_call["decide"]
    assert server.span_id == decided.parent_span_id
    assert triton.end_time_unix_nano <= decided.start_time_unix_nano <= server.end_time_unix_nano
    attributes = {one.key: one.value.string_value for one in server.attributes}
    assert answer.decision.decision_id == attributes["archrouter.decision_id"]
    assert "python script" not in str(collector.spans)


async def test_a_collector_that_is_away_costs_no_call_and_little_of_the_end(
    triton_endpoint: str, root: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    """Traces are lost, decisions are not, and the service still stops."""
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with serving(triton_endpoint, root, tmp_path, url) as service:
        stub: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(service.channel)
        answers = [await stub.SelectRoute(REQUEST) for _ in range(20)]
        stopping_s = time.monotonic()

    assert time.monotonic() - stopping_s < 10
    assert all(answer.decision.decision_id for answer in answers)


@pytest.mark.parametrize("fails", [False, True])
async def test_triton_is_told_of_its_span_and_its_failure_is_in_it(*, fails: bool) -> None:
    """The context travels in gRPC metadata, where Triton's own tracing looks for it."""
    received: list[dict[str, str | bytes]] = []

    async def answer(request: service_pb2.ModelInferRequest, context: Context) -> service_pb2.ModelInferResponse:
        """Keep the metadata."""
        del request
        received.append(dict(context.invocation_metadata() or ()))
        if fails:
            await context.abort(StatusCode.UNAVAILABLE, "gone")
        return response(output=np.zeros(1, dtype=np.float32))

    exporter = InMemorySpanExporter()
    tracing = Tracing(SimpleSpanProcessor(exporter), version="1")
    async with fake_triton("sha256:x", answer) as endpoint:
        client = TritonClient(endpoint, max_concurrent_requests=1, start_span=tracing.client_span)
        try:
            await client.infer("m", (), (tensors.SCORES,), timeout_s=5)
        except ArchRouterError:
            assert fails
        await client.close()

    (span,) = exporter.get_finished_spans()
    expected = f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}"
    assert [expected] == [str(metadata["traceparent"]).rpartition("-")[0] for metadata in received]
    assert (14 if fails else 0) == (span.attributes or {})["rpc.grpc.status_code"]
    assert fails == (not span.status.is_unset)
