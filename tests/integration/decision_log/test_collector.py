"""Decisions that go to a collector, by OTLP over a real connection."""

import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from prometheus_client import CollectorRegistry
from tests.support.logged_decisions import CARD, DECISION, QUESTION, Tallies

from archrouter.app.records import build_decision_log
from archrouter.config import DecisionLogSettings, Settings
from archrouter.decision_log.log import DecisionLog
from archrouter.decision_log.otlp import OtlpSink
from archrouter.decision_log.reader import read_decisions
from archrouter.decision_log.record import DecisionRecord
from archrouter.observability.metrics import Metrics

Request = logs_service_pb2.ExportLogsServiceRequest
Response = logs_service_pb2.ExportLogsServiceResponse
PartialSuccess = logs_service_pb2.ExportLogsPartialSuccess


class Collector(logs_service_pb2_grpc.LogsServiceServicer):
    """Keeps the requests it gets, once it is let; rejects so many records of each, and refuses the first so often."""

    def __init__(self) -> None:
        """Start willing."""
        self.url = ""
        self.requests: list[Request] = []
        self.metadata: dict[str, str | bytes] = {}
        self.open = threading.Event()
        self.open.set()
        self.rejected = 0
        self.refusals = 0

    def Export(self, request: Request, context: grpc.ServicerContext) -> Response:  # noqa: N802  # the protocol's name
        """Take log records."""
        assert self.open.wait(20)
        if self.refusals:
            self.refusals -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        self.metadata = dict(context.invocation_metadata())
        self.requests.append(request)
        return Response(partial_success=PartialSuccess(rejected_log_records=self.rejected))

    @property
    def records(self) -> list[LogRecord]:
        """All records."""
        return [
            record
            for request in self.requests
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Serve a collector."""
    servicer = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    servicer.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield servicer
    servicer.open.set()
    server.stop(grace=None).wait()


@pytest.fixture
def tallies() -> Tallies:
    """Count what becomes of decisions."""
    return Tallies()


def sending(url: str, tallies: Tallies, queue_size: int = 1000) -> DecisionLog:
    """Log to a collector."""
    return DecisionLog(OtlpSink(url, "9.8.7"), b"", text="none", queue_size=queue_size, count=tallies)


def record(log: DecisionLog, decision_id: str) -> None:
    """Log a decision under an id."""
    log.record(QUESTION, replace(DECISION, decision_id=decision_id), caller="gateway", correlation_id="c-1")


def value_of(value: AnyValue) -> Any:  # noqa: ANN401  # what JSON can hold
    """Read a value as JSON would give it."""
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {pair.key: value_of(pair.value) for pair in value.kvlist_value.values}
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


async def test_a_collector_gets_the_fields_of_the_file(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same record by either way, with the service's name, the time of the decision and OpenTelemetry's headers."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
    salt_file, path = str(tmp_path / "salt"), tmp_path / "d.jsonl"
    (tmp_path / "salt").write_bytes(bytes(32))
    for wanted in (
        DecisionLogSettings(path=str(path), salt_file=salt_file, text="text"),
        DecisionLogSettings(otlp_endpoint=collector.url, salt_file=salt_file, text="text"),
    ):
        async with AsyncExitStack() as stack:
            metrics = Metrics(CollectorRegistry(), version="1")
            log = build_decision_log(Settings(decision_log=wanted), metrics, stack)
            assert log is not None
            record(log, "id-1")

    (in_file,) = (one for one in read_decisions(path) if isinstance(one, DecisionRecord))
    (sent,) = collector.records
    expected, body = in_file.model_dump(mode="json"), value_of(sent.body)
    assert expected.pop("time") < body.pop("time")
    assert expected == body
    assert CARD == body["conversation"]["messages"][1]["content"]
    assert "archrouter.decision" == sent.event_name
    assert abs(time.time() - sent.time_unix_nano / 1e9) < 60
    resource = {pair.key: value_of(pair.value) for pair in collector.requests[0].resource_logs[0].resource.attributes}
    assert "archrouter" == resource["service.name"]
    assert "blue" == collector.metadata["x-tenant"]


def test_decisions_that_wait_are_sent_together(collector: Collector, tallies: Tallies) -> None:
    """A collector that is slow gets few requests, each of many decisions, and every one of them once."""
    collector.open.clear()
    log = sending(collector.url, tallies)
    for number in range(300):
        record(log, str(number))
    collector.open.set()
    log.close()

    assert [str(number) for number in range(300)] == [value_of(one.body)["decision_id"] for one in collector.records]
    assert len(collector.requests) <= 4
    assert {"written": 300} == tallies.counts


def test_a_collector_that_starts_anew_costs_no_decision(collector: Collector, tallies: Tallies) -> None:
    """UNAVAILABLE is tried again."""
    collector.refusals = 2
    log = sending(collector.url, tallies)
    record(log, "id-1")
    log.close()

    assert {"written": 1} == tallies.counts


def test_a_collector_that_is_away_or_hangs_delays_nobody_and_is_counted(
    collector: Collector, tallies: Tallies, unused_tcp_port: int
) -> None:
    """What was not taken is lost and told with its cause; what has no room in the queue as well."""
    with structlog.testing.capture_logs() as events:
        away = sending(f"http://127.0.0.1:{unused_tcp_port}", tallies)
        record(away, "lost")
        away.close()
    (told,) = [event for event in events if event["event"] == "decisions_not_logged"]
    assert {"write_failed": 1} == tallies.counts
    codes = ("UNAVAILABLE", "DEADLINE_EXCEEDED")  # the latter on a busy machine
    assert told["reason"] in {f"the collector did not take them ({code})" for code in codes}

    collector.open.clear()
    hanging = sending(collector.url, tallies, queue_size=10)
    started_s = time.monotonic()
    for number in range(1000):
        record(hanging, str(number))
    passed_s = time.monotonic() - started_s
    collector.open.set()
    hanging.close()

    assert passed_s < 2
    assert 1001 == sum(tallies.counts.values())
    assert tallies.counts["queue_full"] >= 1000 - 256 - 10


def test_what_a_collector_rejects_is_counted_as_lost(collector: Collector, tallies: Tallies) -> None:
    """Its answer is a success with a number of records that it did not take."""
    collector.rejected = 1
    log = sending(collector.url, tallies)
    record(log, "id-1")
    log.close()

    assert {"write_failed": 1} == tallies.counts


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"path": "d.jsonl", "otlp_endpoint": "http://h:1"}, "decision_log.path and decision_log.otlp_endpoint are"),
        ({"otlp_endpoint": "http://h:1"}, "decision_log.text is 'hash', but decision_log.salt_file is empty"),
        ({"otlp_endpoint": "h:1", "text": "none"}, "decision_log.otlp_endpoint is 'h:1'; write a URL such as"),
    ],
)
async def test_settings_that_cannot_work_are_refused(wanted: dict[str, str], message: str) -> None:
    """At the start, by name."""
    settings = Settings(decision_log=DecisionLogSettings.model_validate(wanted))
    async with AsyncExitStack() as stack:
        with pytest.raises(ValueError, match=message):
            build_decision_log(settings, Metrics(CollectorRegistry(), version="1"), stack)


async def test_without_its_extra_the_start_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of OpenTelemetry is installed with the service."""
    monkeypatch.delitem(sys.modules, "archrouter.decision_log.otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.logs.v1.logs_service_pb2", None)
    settings = Settings(decision_log=DecisionLogSettings(otlp_endpoint="http://h:1", text="none"))
    async with AsyncExitStack() as stack:
        with pytest.raises(ValueError, match=r"pip install 'archrouter\[otel\]'"):
            build_decision_log(settings, Metrics(CollectorRegistry(), version="1"), stack)
