"""The files of the log: lines that are whole or not there, rotated by size, each file one process's own."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from archrouter.decision_log.record import DecisionRecord

MODE = 0o600
"""A log of decisions is nobody else's to read."""

SALT_BYTES = 32
MIN_SALT_BYTES = 16
"""Shorter keys can be tried out."""

MAX_WRITERS = 256
"""Processes that may log to one path, each to a file of its own."""

_TAIL_BYTES = 65536


class LineFile:
    """Appends whole lines to a file. For one thread; no other process gets the same file.

    Attributes:
        path: The file; the one that was asked for, or with ``-2``, ``-3`` … before its suffix where that is taken.
        repaired_bytes: What was cut off at the opening: a last line that an earlier process did not finish.
    """

    def __init__(self, path: Path, *, max_bytes: int, kept_files: int) -> None:
        """Open or make the file.

        Args:
            path: Where to write.
            max_bytes: A file that would grow beyond is rotated first, >= 1.
            kept_files: Rotated files that are kept, as ``PATH.1`` (the latest) to ``PATH.N``, >= 1.

        Raises:
            OSError: When the file cannot be opened for writing.
        """
        self._max_bytes = max_bytes
        self._kept_files = kept_files
        self.path, self._lock = _claim(path)
        self.repaired_bytes = 0
        self._descriptor, self._size = -1, 0
        self._open()

    batch_size = 1  # a line is one call to the operating system, so that it is whole or not there

    def write_records(self, records: Sequence[DecisionRecord]) -> int:
        """Append a line for each decision, and return how many; see `write`."""
        for record in records:
            line = record.model_dump_json(exclude_none=False)
            self.write(line.encode("utf-8", errors="backslashreplace") + b"\n")
        return len(records)

    def write(self, line: bytes) -> None:
        """Append a line, its line feed included, whole or not at all.

        Raises:
            OSError: When it could not be written, e.g. on a full disk; the next one may be.
        """
        self._follow()
        if self._size and self._size + len(line) > self._max_bytes:
            self._rotate()
        try:
            written = os.write(self._descriptor, line)
        except OSError:
            self._cut()
            raise
        if written < len(line):
            self._cut()
            msg = f"{written} of {len(line)} bytes were written; is the disk full?"
            raise OSError(msg)
        self._size += written

    def close(self) -> None:
        """Close the file and let another process have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        os.close(self._lock)

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        os.fchmod(self._descriptor, MODE)
        found = os.fstat(self._descriptor).st_size
        self._size = _whole_lines(self._descriptor, found)
        if self._size < found:
            os.ftruncate(self._descriptor, self._size)
            self.repaired_bytes += found - self._size

    def _follow(self) -> None:
        """Open the file anew where it failed to open, or somebody moved or removed it."""
        if self._descriptor >= 0:
            with contextlib.suppress(FileNotFoundError):
                there, ours = self.path.stat(), os.fstat(self._descriptor)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return
            os.close(self._descriptor)
            self._descriptor = -1
        self._open()

    def _rotate(self) -> None:
        for number in range(self._kept_files - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                rotated(self.path, number).rename(rotated(self.path, number + 1))
        self.path.rename(rotated(self.path, 1))
        os.close(self._descriptor)
        self._descriptor = -1
        self._open()

    def _cut(self) -> None:
        """Take back what was written of a line; where even that fails, opening anew does it."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            os.close(self._descriptor)
            self._descriptor = -1


def rotated(path: Path, number: int) -> Path:
    """Name a rotated file; 1 is the latest."""
    return path.with_name(f"{path.name}.{number}")


def writer_path(path: Path, number: int) -> Path:
    """Name the file of one of several processes, from 1."""
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def load_salt(path: Path) -> bytes:
    """Read the salt, or make one; of several processes that make it at a time one wins.

    Args:
        path: The salt file, at least `MIN_SALT_BYTES` long.

    Returns:
        Its bytes.

    Raises:
        OSError: When it can neither be read nor made.
        ValueError: When it is too short.
    """
    if not path.exists():
        own = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE)
        try:
            os.write(descriptor, secrets.token_bytes(SALT_BYTES))
        finally:
            os.close(descriptor)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(own)
        own.unlink()
    salt = path.read_bytes()
    if len(salt) < MIN_SALT_BYTES:
        msg = (
            f"the salt file has {len(salt)} bytes (decision_log.salt_file); "
            f"give it {MIN_SALT_BYTES} or more random ones, or name a file that does not exist"
        )
        raise ValueError(msg)
    return salt


def _claim(path: Path) -> tuple[Path, int]:
    """Take the first file that no other process has; the lock goes with the process, however it ends."""
    for number in range(1, MAX_WRITERS + 1):
        own = writer_path(path, number)
        lock = os.open(own.with_name(f".{own.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            return own, lock
    msg = f"{MAX_WRITERS} processes log to this path already (decision_log.path)"
    raise OSError(msg)


def _whole_lines(descriptor: int, size: int) -> int:
    """Say how many bytes of a file are whole lines, looking from its end backwards."""
    end = size
    while end:
        start = max(end - _TAIL_BYTES, 0)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
