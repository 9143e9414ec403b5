"""Reads the log back. What cannot be read is said, line by line; nothing is passed over in silence."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from archrouter.decision_log.record import DecisionRecord


@dataclass(frozen=True, slots=True)
class UnreadableLine:
    """A line that holds no record.

    Attributes:
        file: Its file.
        line: Its number, from 1.
        reason: Why; nothing of its content.
    """

    file: Path
    line: int
    reason: str


def log_files(path: Path) -> tuple[Path, ...]:
    """List the files of a log: of each process in turn, the rotated ones first, the oldest first.

    Args:
        path: The configured path (``decision_log.path``).

    Returns:
        Those that exist.
    """
    name = re.compile(rf"{re.escape(path.stem)}(?:-(\d+))?{re.escape(path.suffix)}(?:\.(\d+))?")
    found = [(match, file) for file in path.parent.iterdir() if (match := name.fullmatch(file.name))]
    found.sort(key=lambda one: (int(one[0][1] or 1), -int(one[0][2] or 0)))
    return tuple(file for _, file in found)


def read_decisions(path: Path) -> Iterator[DecisionRecord | UnreadableLine]:
    """Read a log, while it may still be written.

    Args:
        path: The configured path; its rotated files and those of further processes are read as well.

    Yields:
        A record for each line, or what keeps the line from being one: a last line that is being written has no end.

    Raises:
        OSError: When a file cannot be read, or there is none.
    """
    files = log_files(path)
    if not files:
        msg = f"there is no decision log at {path}"
        raise FileNotFoundError(msg)
    for file in files:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield _read(file, number, line)


def _read(file: Path, number: int, line: bytes) -> DecisionRecord | UnreadableLine:
    if not line.endswith(b"\n"):
        return UnreadableLine(file, number, "has no end; it is being written, or the process was killed in it")
    try:
        return DecisionRecord.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the line"
        return UnreadableLine(file, number, f"{place}: {first['msg']}")
