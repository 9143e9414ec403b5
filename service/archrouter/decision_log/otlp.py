"""Sends decisions to a collector by OTLP over gRPC, in place of a file. Needs the extra ``otel``.

By the protocol's own messages, which are stable: the SDK's logs are private by name and move from release to release,
and its queue loses what it cannot hold without saying which.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO, LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.util.re import parse_env_headers

from archrouter.decision_log.record import DecisionRecord
from archrouter.observability.tracing import EXPORT_TIMEOUT_MS, service_attributes

EVENT_NAME = "archrouter.decision"

BATCH_SIZE = 256
"""Decisions of one request at most: a collector on another machine is a millisecond away."""

_NANOSECONDS = 1_000_000_000

_NUMBERS = {bool: "bool_value", int: "int_value", float: "double_value"}

_RETRY = {
    "name": [{"service": "opentelemetry.proto.collector.logs.v1.LogsService"}],
    "retryPolicy": {
        "maxAttempts": 4,
        "initialBackoff": "0.2s",
        "maxBackoff": "2s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": ["UNAVAILABLE"],
    },
}
"""A collector that starts anew costs no decision; what is decided meanwhile waits in the log's queue."""


class OtlpSink:
    """A collector. For one thread."""

    batch_size = BATCH_SIZE

    def __init__(self, endpoint: str, version: str) -> None:
        """Connect lazily: nothing is sent before the first decision.

        Headers and certificates are OpenTelemetry's own variables, ``OTEL_EXPORTER_OTLP_HEADERS``, ``_CERTIFICATE``,
        ``_CLIENT_KEY`` and ``_CLIENT_CERTIFICATE``.

        Args:
            endpoint: URL such as ``http://collector:4317``, or ``https`` for TLS.
            version: Release of the service.

        Raises:
            ValueError: When the endpoint is no such URL.
            OSError: When a certificate cannot be read.
        """
        self._channel = _channel(endpoint)
        self._stub = LogsServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._headers = tuple(parse_env_headers(os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""), liberal=True).items())
        self._resource = Resource(attributes=_pairs(service_attributes(version)))
        self._scope = InstrumentationScope(name="archrouter", version=version)

    def write_records(self, records: Sequence[DecisionRecord]) -> int:
        """Send decisions, and return how many the collector took.

        Raises:
            OSError: When it took none.
        """
        logs = ScopeLogs(scope=self._scope, log_records=[_log_record(record) for record in records])
        request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=self._resource, scope_logs=[logs])])
        try:
            response = self._stub.Export(request, timeout=EXPORT_TIMEOUT_MS / 1000, metadata=self._headers)
        except grpc.RpcError as error:
            msg = f"the collector did not take them ({error.code().name})"
            raise OSError(msg) from error
        return len(records) - int(response.partial_success.rejected_log_records)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def _channel(endpoint: str) -> grpc.Channel:
    url = urlsplit(endpoint)
    options = [("grpc.service_config", json.dumps({"methodConfig": [_RETRY]}))]
    if url.scheme == "http" and url.netloc:
        return grpc.insecure_channel(url.netloc, options)
    if url.scheme == "https" and url.netloc:
        root, key, chain = (_pem(name) for name in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"))
        return grpc.secure_channel(url.netloc, grpc.ssl_channel_credentials(root, key, chain), options)
    msg = f"decision_log.otlp_endpoint is {endpoint!r}; write a URL such as http://127.0.0.1:4317"
    raise ValueError(msg)


def _pem(name: str) -> bytes | None:
    path = os.environ.get(f"OTEL_EXPORTER_OTLP_{name}")
    return Path(path).read_bytes() if path else None


def _log_record(record: DecisionRecord) -> LogRecord:
    time_ns = int(record.time.timestamp() * _NANOSECONDS)
    return LogRecord(
        time_unix_nano=time_ns,
        observed_time_unix_nano=time_ns,
        severity_number=SEVERITY_NUMBER_INFO,
        event_name=EVENT_NAME,
        body=_any_value(record.model_dump(mode="json")),
    )


def _pairs(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in values.items()]


def _any_value(value: Any) -> AnyValue:  # noqa: ANN401  # what JSON can hold
    if value is None:
        return AnyValue()
    if isinstance(value, str):
        return AnyValue(string_value=value.encode("utf-8", errors="backslashreplace").decode())
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=_pairs(value)))
    if isinstance(value, list | tuple):
        return AnyValue(array_value=ArrayValue(values=[_any_value(each) for each in value]))
    return AnyValue(**{_NUMBERS[type(value)]: value})
