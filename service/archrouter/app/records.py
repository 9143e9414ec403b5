"""What the service writes down beside its answers: the decision log, traces, and where it listens."""

import json
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from archrouter.config import Settings
from archrouter.decision_log.log import DecisionLog, open_decision_log
from archrouter.observability.metrics import Metrics
from archrouter.version import VERSION

if TYPE_CHECKING:
    from archrouter.observability.tracing import Tracing

_log = structlog.get_logger(__name__)

_OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def build_decision_log(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> DecisionLog | None:
    """Open the decision log where one is wanted, until the stack is closed; OSError when it cannot be written."""
    wanted = settings.decision_log
    if not wanted.path:
        return None
    try:
        decision_log = open_decision_log(
            Path(wanted.path),
            salt_file=Path(wanted.salt_file) if wanted.salt_file else None,
            text=wanted.text,
            max_bytes=wanted.max_bytes,
            kept_files=wanted.kept_files,
            queue_size=wanted.queue_size,
            count=metrics.decision_log_records.labels,
        )
    except OSError as error:
        msg = f"cannot write the decision log {wanted.path!r} (decision_log.path): {error.strerror or error}"
        raise OSError(msg) from error
    stack.callback(decision_log.close)
    return decision_log


def build_tracing(settings: Settings, stack: AsyncExitStack) -> "Tracing | None":
    """Trace where that is wanted, until the stack is closed; ValueError where the extra for it is missing."""
    from_environment = [name for name in _OTLP_ENDPOINTS if os.environ.get(name)]
    if not (settings.tracing.otlp_endpoint or from_environment):
        return None
    try:
        from archrouter.observability.tracing import otlp_tracing  # noqa: PLC0415  # needs the extra
    except ModuleNotFoundError as error:
        wanted_by = "tracing.otlp_endpoint" if settings.tracing.otlp_endpoint else from_environment[0]
        msg = f"{wanted_by} asks for traces; install what they need with: pip install 'archrouter[otel]'"
        raise ValueError(msg) from error
    tracing = otlp_tracing(settings.tracing.otlp_endpoint, VERSION)
    stack.callback(tracing.close)
    return tracing


def write_ready_file(file: Path | None, address: str) -> None:
    """Tell the program around the service, if it wants to know, that it answers, and where."""
    if file is not None:
        try:
            file.write_text(json.dumps({"listen": address}) + "\n")
        except OSError as error:
            _log.error("ready_file_not_written", reason=str(error))  # no reason to stop answering
