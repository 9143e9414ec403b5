"""The log's form and its silence about what nobody may read."""

import errno
import io
import json
import logging
import os
from collections.abc import Iterator

import pytest
import structlog

from archrouter.observability.logging import LogFormat, LogLevel, configure_logging

SECRET = "my-secret-invoice-number"  # noqa: S105  # stands for what nobody may read in a log


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Claim it."""
        return True


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Leave no configuration behind."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def fail_with_secret_in_a_local_variable() -> None:
    """Raise from a frame that holds a conversation."""
    message = SECRET
    raise RuntimeError(len(message))


def test_json_line_holds_event_level_time_and_fields() -> None:
    """Each event is one JSON object on one line, in UTC, with text outside ASCII as it is."""
    stream = io.StringIO()
    configure_logging("json", "info", stream)

    structlog.get_logger("archrouter.test").info("policies_loaded", name="\u00fc\nb", count=2)

    (text,) = stream.getvalue().splitlines()
    line = json.loads(text)
    assert "\u00fc" in text
    assert line.pop("timestamp").endswith("Z")
    assert {
        "event": "policies_loaded",
        "level": "info",
        "logger": "archrouter.test",
        "name": "\u00fc\nb",
        "count": 2,
    } == line


def test_context_of_a_call_is_in_every_line() -> None:
    """What was bound for a call stands in each line that is written during it."""
    stream = io.StringIO()
    configure_logging("json", "info", stream)

    with structlog.contextvars.bound_contextvars(decision_id="id-1"):
        structlog.get_logger().info("one")
    structlog.get_logger().info("two")

    lines = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert ["id-1", None] == [line.get("decision_id") for line in lines]


def test_records_of_the_standard_library_have_the_same_form() -> None:
    """What gRPC or asyncio log is as readable for a machine as our own events."""
    stream = io.StringIO()
    configure_logging("json", "info", stream)

    logging.getLogger("grpc").warning("port %d is taken", 50051)

    line = json.loads(stream.getvalue())
    assert ("port 50051 is taken", "warning", "grpc") == (line["event"], line["level"], line["logger"])


@pytest.mark.parametrize(("level", "expected"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_less_severe_lines_are_left_out(level: LogLevel, expected: int) -> None:
    """The level bounds our own events and foreign records alike."""
    stream = io.StringIO()
    configure_logging("json", level, stream)
    log = structlog.get_logger()

    log.debug("a")
    logging.getLogger("grpc").info("b")
    log.warning("c")

    assert expected == len(stream.getvalue().splitlines())


@pytest.mark.parametrize(
    ("log_format", "kind", "expected"),
    [
        pytest.param("auto", io.StringIO, True, id="auto_elsewhere"),
        pytest.param("auto", Terminal, False, id="auto_on_a_terminal"),
        pytest.param("json", Terminal, True, id="json_on_a_terminal"),
        pytest.param("console", io.StringIO, False, id="console_elsewhere"),
    ],
)
def test_format_follows_setting_and_terminal(log_format: LogFormat, kind: type[io.StringIO], *, expected: bool) -> None:
    """People get the console format on a terminal, machines JSON, and whoever asks gets what was asked for."""
    stream = kind()
    configure_logging(log_format, "info", stream)

    structlog.get_logger().info("started")

    assert expected == stream.getvalue().startswith("{")


def test_console_without_terminal_has_no_colours() -> None:
    """A console log that goes into a file holds no escape sequences, not even those of a caller's value."""
    stream = io.StringIO()
    configure_logging("console", "info", stream)

    structlog.get_logger().info("rpc_completed", correlation_id="\x1b[31mred")

    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_traceback_shows_no_local_variable(log_format: LogFormat, kind: type[io.StringIO]) -> None:
    """A traceback tells where and what, and never the values of variables, which may be conversations."""
    stream = kind()
    configure_logging(log_format, "info", stream)

    try:
        fail_with_secret_in_a_local_variable()
    except RuntimeError as error:
        structlog.get_logger().error("rpc_failed", exc_info=error)
        logging.getLogger("grpc").exception("failed")

    assert 2 == stream.getvalue().count("RuntimeError: 24")
    assert SECRET not in stream.getvalue()


class FullDisk(io.StringIO):
    """A stream that takes nothing any more."""

    def write(self, _text: str) -> int:
        """Fail as a full disk does."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else() -> None:
    """A call is answered although its line has no room."""
    configure_logging("json", "info", FullDisk())

    structlog.get_logger().info("rpc_completed")


def test_second_configuration_replaces_the_first() -> None:
    """Configuring twice does not write twice."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging("json", "info", first)
    configure_logging("json", "info", second)

    structlog.get_logger().info("started")

    assert ("", 1) == (first.getvalue(), len(second.getvalue().splitlines()))
