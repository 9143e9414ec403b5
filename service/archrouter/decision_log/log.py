"""Takes decisions off the calls' hands: a bounded queue, and a thread that writes."""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog

from archrouter.application.select_route import Decision, SelectRoute
from archrouter.decision_log.files import LineFile, load_salt
from archrouter.decision_log.record import LoggedDecision, TextMode, record_of

WRITTEN, QUEUE_FULL, WRITE_FAILED = "written", "queue_full", "write_failed"
RESULTS = (WRITTEN, QUEUE_FULL, WRITE_FAILED)
"""What became of a decision."""

MAX_QUEUED_CHARACTERS = 64 * 1024 * 1024
"""Of conversations that wait to be written: a few very long ones must not take the memory that many short ones may."""

REPORT_INTERVAL_S = 60.0
"""Between two lines about losses: a full disk must not fill another one with complaints."""

CLOSE_TIMEOUT_S = 5.0

_log = structlog.get_logger(__name__)


class Counter(Protocol):
    """Counts something, from any thread."""

    def inc(self) -> None:
        """Count one."""
        ...


class DecisionLog:
    """`DecisionRecorder` over files. A decision that cannot be written is counted and lost; no call waits or fails."""

    def __init__(
        self, file: LineFile, salt: bytes, *, text: TextMode, queue_size: int, count: Callable[[str], Counter]
    ) -> None:
        """Start the writing thread.

        Args:
            file: Where lines go; closed at the end.
            salt: Key of the conversations' digests.
            text: How much of a conversation is kept.
            queue_size: Decisions that may wait, >= 1; further ones are lost.
            count: Gives the counter of one of `RESULTS`.
        """
        self._file = file
        self._salt = salt
        self._text: TextMode = text
        self._queue_size = queue_size
        self._counters = {result: count(result) for result in RESULTS}
        self._waiting: deque[tuple[LoggedDecision, int]] = deque()
        self._waiting_characters = 0
        self._condition = threading.Condition()
        self._closing = False
        self._lost = dict.fromkeys((QUEUE_FULL, WRITE_FAILED), 0)
        self._reason = ""  # of the latest write that failed
        self._reported_s = -REPORT_INTERVAL_S
        self._thread = threading.Thread(target=self._run, name="decision log", daemon=True)
        self._thread.start()

    def record(self, question: SelectRoute, decision: Decision, *, caller: str, correlation_id: str) -> None:
        """Hand a decision over; see `DecisionRecorder.record`."""
        logged = LoggedDecision(datetime.now(UTC), question, decision, caller, correlation_id)
        size = 0 if self._text == "none" else sum(len(message.content) for message in question.messages)
        with self._condition:
            fits = size + self._waiting_characters <= MAX_QUEUED_CHARACTERS
            if fits and len(self._waiting) < self._queue_size and not self._closing:
                self._waiting.append((logged, size))
                self._waiting_characters += size
                self._condition.notify()
                return
            self._lost[QUEUE_FULL] += 1
        self._counters[QUEUE_FULL].inc()

    def close(self) -> None:
        """Write what waits, for a few seconds at most, and close the file. Later decisions are lost."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        try:
            while (logged := self._next()) is not None:
                self._write(logged)
                self._report_losses()
        finally:
            self._report_losses(at_once=True)
            self._file.close()

    def _next(self) -> LoggedDecision | None:
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            logged, size = self._waiting.popleft()
            self._waiting_characters -= size
        return logged

    def _write(self, logged: LoggedDecision) -> None:
        try:
            line = record_of(logged, self._text, self._salt).model_dump_json(exclude_none=False)
            self._file.write(line.encode("utf-8", errors="backslashreplace") + b"\n")
        except Exception as error:  # noqa: BLE001  # supervises a thread: one decision that fails must not end the log
            with self._condition:
                self._lost[WRITE_FAILED] += 1
            self._counters[WRITE_FAILED].inc()
            self._reason = (error.strerror or str(error)) if isinstance(error, OSError) else type(error).__name__
        else:
            self._counters[WRITTEN].inc()

    def _report_losses(self, *, at_once: bool = False) -> None:
        """Say at most once in an interval what was lost since the last time."""
        now_s = time.monotonic()
        if not (at_once or now_s - self._reported_s >= REPORT_INTERVAL_S):
            return
        with self._condition:
            lost, self._lost = self._lost, dict.fromkeys(self._lost, 0)
        if any(lost.values()):
            self._reported_s = now_s
            _log.error("decisions_not_logged", **lost, reason=self._reason)


def open_decision_log(
    path: Path,
    *,
    salt_file: Path | None,
    text: TextMode,
    max_bytes: int,
    kept_files: int,
    queue_size: int,
    count: Callable[[str], Counter],
) -> DecisionLog:
    """Open the log of this process.

    Args:
        path: The file; further processes that log to it get ``-2``, ``-3`` … before its suffix.
        salt_file: Key of the digests, made where it does not exist; None is ``PATH.salt``.
        text: How much of a conversation is kept.
        max_bytes: Size at which a file is rotated.
        kept_files: Rotated files that are kept.
        queue_size: Decisions that may wait to be written.
        count: Gives the counter of one of `RESULTS`.

    Returns:
        The log, writing.

    Raises:
        OSError: When a file cannot be opened or made.
        ValueError: When the salt is too short.
    """
    salt = b"" if text == "none" else load_salt(salt_file or path.with_name(f"{path.name}.salt"))
    file = LineFile(path, max_bytes=max_bytes, kept_files=kept_files)
    _log.info("decision_log_opened", file=str(file.path), text=text)
    if file.repaired_bytes:
        _log.warning("decision_log_repaired", cut_bytes=file.repaired_bytes)
    if text == "text":
        _log.warning("conversations_are_logged", setting="decision_log.text")
    return DecisionLog(file, salt, text=text, queue_size=queue_size, count=count)
