"""What the service writes down beside its answers: the decision log, traces, and where it listens."""

import json
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from archrouter.config import Settings
from archrouter.decision_log.files import load_salt
from archrouter.decision_log.log import DecisionLog, open_decision_log, warn_of_text
from archrouter.observability.metrics import Metrics
from archrouter.version import VERSION
from archrouter.whole_files import write_whole

if TYPE_CHECKING:
    from archrouter.observability.tracing import Tracing

_log = structlog.get_logger(__name__)

_OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def build_decision_log(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> DecisionLog | None:
    """Open the decision log where one is wanted, until the stack is closed.

    Raises:
        OSError: When a file of it cannot be read or written.
        ValueError: When its settings contradict each other, or the extra for it is missing.
    """
    wanted = settings.decision_log
    if wanted.path and wanted.otlp_endpoint:
        msg = "decision_log.path and decision_log.otlp_endpoint are both set; empty one: collectors read files as well"
        raise ValueError(msg)
    if not (wanted.path or wanted.otlp_endpoint):
        return None
    try:
        decision_log = (_file_log if wanted.path else _collector_log)(settings, metrics)
    except OSError as error:
        place = f"{wanted.path!r} (decision_log.path)" if wanted.path else "of decision_log.otlp_endpoint"
        msg = f"cannot write the decision log {place}: {error.strerror or error}"
        raise OSError(msg) from error
    stack.callback(decision_log.close)
    return decision_log


def _file_log(settings: Settings, metrics: Metrics) -> DecisionLog:
    wanted = settings.decision_log
    return open_decision_log(
        Path(wanted.path),
        salt_file=Path(wanted.salt_file) if wanted.salt_file else None,
        text=wanted.text,
        max_bytes=wanted.max_bytes,
        kept_files=wanted.kept_files,
        queue_size=wanted.queue_size,
        count=metrics.decision_log_records.labels,
    )


def _collector_log(settings: Settings, metrics: Metrics) -> DecisionLog:
    wanted = settings.decision_log
    try:
        from archrouter.decision_log.otlp import OtlpSink  # noqa: PLC0415  # needs the extra
    except ModuleNotFoundError as error:
        msg = "decision_log.otlp_endpoint is set; install what it needs with: pip install 'archrouter[otel]'"
        raise ValueError(msg) from error
    if wanted.text != "none" and not wanted.salt_file:
        msg = (
            f"decision_log.text is {wanted.text!r}, but decision_log.salt_file is empty; name a file, or set text: none"
        )
        raise ValueError(msg)
    salt = b"" if wanted.text == "none" else load_salt(Path(wanted.salt_file))
    warn_of_text(wanted.text)
    sink = OtlpSink(wanted.otlp_endpoint, VERSION)
    count = metrics.decision_log_records.labels
    return DecisionLog(sink, salt, text=wanted.text, queue_size=wanted.queue_size, count=count)


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
    """Tell the program around the service, if it wants to know, that it answers, and where.

    A file is there with its line or not at all; a pipe, a device or what a link leads to is written as it stands.
    """
    if file is None:
        return
    line = (json.dumps({"listen": address}) + "\n").encode()
    try:
        if not file.is_symlink() and (file.is_file() or not file.exists()):
            write_whole(file, line)
        else:
            file.write_bytes(line)
    except OSError as error:
        _log.error("ready_file_not_written", reason=str(error))  # no reason to stop answering
