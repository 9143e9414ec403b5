"""The log: structured, one line per event, on a stream that is not standard output (that one is for results).

Events of this package and records of the standard library's loggers (gRPC, asyncio) go through one pipeline, so every
line has the same form. No renderer here prints local variables: those hold conversations.
"""

import logging
from typing import Literal, TextIO

import structlog
from structlog.types import Processor

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


def configure_logging(log_format: LogFormat, level: LogLevel, stream: TextIO) -> None:
    """Send every log line of the process to one stream. Replaces what an earlier call set up.

    The format ``auto`` takes ``console`` on a terminal and ``json`` elsewhere.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(log_format, stream)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _renderers(log_format: LogFormat, stream: TextIO) -> list[Processor]:
    """List what turns an event into text.

    The default exception formatters of structlog show local variables; both formatters here are the plain ones.
    ``repr_native_str`` escapes control characters of values that callers chose, e.g. the correlation id.
    """
    if log_format == "console" or (log_format == "auto" and stream.isatty()):
        return [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(),
                exception_formatter=structlog.dev.plain_traceback,
                repr_native_str=True,
            )
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
