"""Takes decisions off the calls' hands: a bounded queue, and a thread that writes or sends."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Protocol

import structlog

from archrouter.application.select_route import Decision, SelectRoute
from archrouter.decision_log.files import LineFile, load_salt
from archrouter.decision_log.record import DecisionRecord, LoggedDecision, TextMode, record_of

WRITTEN, QUEUE_FULL, WRITE_FAILED = "written", "queue_full", "write_failed"
RESULTS = (WRITTEN, QUEUE_FULL, WRITE_FAILED)
"""What became of a decision."""

MAX_QUEUED_CHARACTERS = 64 * 1024 * 1024
"""Of conversations that wait to be written: a few very long ones must not take the memory that many short ones may."""

REPORT_INTERVAL_S = 60.0
"""Between two lines about losses: a full disk must not fill another one with complaints."""

CLOSE_TIMEOUT_S = 5.0

MAX_BATCH_CHARACTERS = 256 * 1024
"""Of conversations, after which a batch is full: collectors take 4 MiB at a time."""

_log = structlog.get_logger(__name__)


class Counter(Protocol):
    """Counts something, from any thread."""

    def inc(self) -> None:
        """Count one."""
        ...


class Sink(Protocol):
    """Where decisions go: a file or a collector. Used from one thread.

    Attributes:
        batch_size: How many it takes at a time, >= 1.
    """

    batch_size: int

    def write_records(self, records: Sequence[DecisionRecord]) -> int:
        """Write decisions, and return how many it took; OSError when it took none of them."""
        ...

    def close(self) -> None:
        """Take no more."""
        ...


class DecisionLog:
    """`DecisionRecorder` over a sink. A decision that cannot be written is counted and lost; no call waits or fails."""

    def __init__(
        self, sink: Sink, salt: bytes, *, text: TextMode, queue_size: int, count: Callable[[str], Counter]
    ) -> None:
        """Start the writing thread.

        Args:
            sink: Where decisions go; closed at the end.
            salt: Key of the conversations' digests.
            text: How much of a conversation is kept.
            queue_size: Decisions that may wait, >= 1; further ones are lost.
            count: Gives the counter of one of `RESULTS`.
        """
        self._sink = sink
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

    def record(
        self,
        question: SelectRoute,
        decision: Decision,
        *,
        caller: str,
        correlation_id: str,
        time: datetime | None = None,
        shadow: Decision | None = None,
    ) -> None:
        """Hand a decision over, with the time of one that waited, and what was decided beside it.

        See `DecisionRecorder.record`.
        """
        logged = LoggedDecision(time or datetime.now(UTC), question, decision, caller, correlation_id, shadow)
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
            while batch := self._next():
                self._write(batch)
                self._report_losses()
        finally:
            self._report_losses(at_once=True)
            self._sink.close()

    def _next(self) -> list[LoggedDecision]:
        """Wait for what is to be written next; nothing at the end."""
        batch: list[LoggedDecision] = []
        characters = 0
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._closing)
            while self._waiting and len(batch) < self._sink.batch_size and characters < MAX_BATCH_CHARACTERS:
                logged, size = self._waiting.popleft()
                batch.append(logged)
                characters += size
            self._waiting_characters -= characters
        return batch

    def _write(self, batch: Sequence[LoggedDecision]) -> None:
        written = 0
        try:
            records = [record for logged in batch if (record := self._record_of(logged)) is not None]
            written = self._sink.write_records(records) if records else 0
            if written < len(records):
                self._reason = "the collector rejected some"
        except Exception as error:  # noqa: BLE001  # supervises a thread: a sink that fails must not end the log
            self._reason = (error.strerror or str(error)) if isinstance(error, OSError) else type(error).__name__
        for number in range(len(batch)):
            self._counters[WRITTEN if number < written else WRITE_FAILED].inc()
        with self._condition:
            self._lost[WRITE_FAILED] += len(batch) - written

    def _record_of(self, logged: LoggedDecision) -> DecisionRecord | None:
        try:
            return record_of(logged, self._text, self._salt)
        except Exception as error:  # noqa: BLE001  # one decision that cannot be told must not take others with it
            self._reason = type(error).__name__
            return None

    def _report_losses(self, *, at_once: bool = False) -> None:
        """Say at most once in an interval what was lost since the last time."""
        now_s = monotonic()
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
    warn_of_text(text)
    return DecisionLog(file, salt, text=text, queue_size=queue_size, count=count)


def warn_of_text(text: TextMode) -> None:
    """Say so where conversations are kept."""
    if text == "text":
        _log.warning("conversations_are_logged", setting="decision_log.text")
