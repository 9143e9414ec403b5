"""Settings of what the service tells about itself."""

from typing import Literal

from pydantic import Field

from archrouter.config.values import AddressOrNone, Section


class MetricsSettings(Section):
    """Prometheus."""

    listen: AddressOrNone = Field(
        "",
        description="HOST:PORT to serve /metrics on; empty serves none. "
        "Of several server.processes the first takes this port, the second the next one, and so on.",
    )


class LoggingSettings(Section):
    """The log, on standard error."""

    format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console on a terminal, JSON elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )


class TracingSettings(Section):
    """OpenTelemetry, by the extra ``otel``; the sampler and the rest are set by its own OTEL_* variables."""

    otlp_endpoint: str = Field(
        "",
        description="URL of a collector that takes OTLP over gRPC, e.g. http://127.0.0.1:4317; empty takes "
        "OTEL_EXPORTER_OTLP_ENDPOINT, and without that too nothing is traced.",
    )


class DecisionLogSettings(Section):
    """A line of JSON in a file for every decision, or a log record for a collector; see docs/decision_log.md."""

    path: str = Field(
        "", description="File to append to; further server processes add -2, -3 … before its suffix. Empty keeps none."
    )
    otlp_endpoint: str = Field(
        "",
        description="URL of a collector that gets them by OTLP over gRPC in place of path, e.g. "
        "http://127.0.0.1:4317, by the extra otel; empty sends none.",
    )
    text: Literal["none", "hash", "text"] = Field(
        "hash", description="What is kept of a conversation: nothing, its salted hash, or its text as well."
    )
    salt_file: str = Field(
        "",
        description="Key of the hashes, made where it does not exist; empty is path with .salt behind it.",
    )
    max_bytes: int = Field(64 * 1024 * 1024, ge=4096, description="Size in bytes at which the file is rotated.")
    kept_files: int = Field(8, ge=1, description="Rotated files that are kept, path.1 being the latest.")
    queue_size: int = Field(
        4096, ge=1, description="Decisions that may wait to be written; further ones are counted and lost."
    )
