"""The journal: every answer that was paid for, on disk before it is used.

One JSON object a line, appended and synchronised. An answer is found again by the digest of its request, so a run that
is repeated after any kind of end buys nothing twice. A last line that was cut off by a crash is dropped; damage
anywhere else is an error, because then something other than this program wrote the file.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter, ValidationError

from data.drafting.errors import JournalWriteError, SetupError
from data.drafting.settings import Role


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer.

    Attributes:
        digest: ``sha256:<hex>`` of the request.
        role: Who was asked.
        item: What the question was about.
        attempt: 1 for the first asking.
        model: The model that was asked.
        body: The answer as the endpoint sent it, the key masked.
    """

    digest: str
    role: Role
    item: str
    attempt: int
    model: str
    body: str


_ENTRY = TypeAdapter(Entry)


class Journal:
    """The open journal of an output folder; only one process can have it open."""

    def __init__(self, path: Path) -> None:
        """Open and lock the file, which is made when missing, read what is there and cut off a torn last line.

        Raises:
            SetupError: When another process has it open, or it is damaged.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _lock(self._file, path)
            self._entries, self._length = _read(path)
            os.ftruncate(self._file, self._length)
            _synchronise_folder(path.parent)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        """Return the journal."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, which also gives up the lock."""
        os.close(self._file)

    @property
    def entries(self) -> Iterator[Entry]:
        """All answers, oldest first."""
        return iter(self._entries.values())

    def get(self, digest: str) -> Entry | None:
        """Look up the answer to a request by its digest."""
        return self._entries.get(digest)

    def append(self, entry: Entry) -> None:
        """Record an answer; when this returns, it survives a crash.

        Synchronous on purpose: it takes milliseconds after an answer that took seconds, and leaves no moment in which a
        cancellation could lose what was paid for.

        Raises:
            JournalWriteError: When the disk does not take it; the file is as before.
        """
        line = json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n"
        try:
            _write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._length)
            msg = f"the journal takes no further answer: {error.strerror}; free the disk and run the same command again"
            raise JournalWriteError(msg) from error
        self._length += len(line)
        self._entries[entry.digest] = entry


def read_journal(path: Path) -> tuple[Entry, ...]:
    """Read the answers, oldest first, without opening the journal for a run; none when there is no such file.

    Raises:
        SetupError: When it is damaged.
    """
    return tuple(_read(path)[0].values()) if path.exists() else ()


def _read(path: Path) -> tuple[dict[str, Entry], int]:
    content = path.read_bytes()
    lines = content.split(b"\n")
    torn = lines.pop()  # empty when the file ends as it should
    entries: dict[str, Entry] = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = _ENTRY.validate_json(line, strict=True)
        except ValidationError as error:
            if number == len(lines) and not torn:  # a crash may leave blocks of zeros, with or without an end
                return entries, len(content) - len(line) - 1
            msg = f"{path}:{number}: is no entry of a journal; move the file away to start again"
            raise SetupError(msg) from error
        entries[entry.digest] = entry
    return entries, len(content) - len(torn)


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        msg = f"{path}: another run is using it; wait for its end, or choose another output folder"
        raise SetupError(msg) from error


def _write(file: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(file, rest) :]


def _synchronise_folder(folder: Path) -> None:
    """Make a new file's name survive a crash, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
