"""The log: structured, one line per event, on a stream that is not standard output (that one is for results).

Events of this package and records of the standard library's loggers (gRPC, asyncio) go through one pipeline, so every
line has the same form. No renderer here prints local variables: those hold conversations.
"""

import contextlib
import logging
from functools import partial
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
    renderers = _renderers(log_format, stream)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Not through the standard library: a line of each call would pass twice as much code there.
    structlog.configure(
        processors=[*shared, *renderers],
        logger_factory=partial(_Lines, stream),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )


class _Lines:
    """Where the lines of one logger go."""

    def __init__(self, stream: TextIO, name: str = "") -> None:
        self.name = name
        self._stream = stream

    def write(self, line: str) -> None:
        """Write a line; a stream that cannot be written, such as a full disk, is no reason to fail a call."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = write  # what structlog calls, by level


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
