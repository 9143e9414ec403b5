"""Output folders and files that are whole or not there."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from data.errors import DataError

_MODE = 0o755  # mkdtemp's is the owner's alone
_FOLDERS = frozenset({"policies", "wordings"})
_SUFFIXES = frozenset({".json", ".jsonl", ".md"})


class FolderError(DataError):
    """An output folder is there already."""


@contextmanager
def replaced_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give an empty folder that becomes the target when the block ends well, and vanishes when it does not.

    Args:
        target: Where the folder is to be.
        overwrite: Whether a folder that is there already is replaced; never one that holds other than records.

    Yields:
        A folder beside the target, on the same file system.

    Raises:
        FolderError: When the target exists and may not be replaced.
    """
    if target.exists() and not overwrite:
        msg = f"{target} exists already; name another folder, or give --overwrite to replace it"
        raise FolderError(msg)
    foreign = sorted(
        path.name for path in target.glob("*") if path.name not in _FOLDERS and path.suffix not in _SUFFIXES
    )
    if foreign:
        msg = f"{target} is not replaced, because it holds {foreign[0]!r}, which is no file of records; remove it first"
        raise FolderError(msg)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield scratch
        scratch.chmod(_MODE)
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def replaced_file(target: Path) -> Iterator[IO[str]]:
    """Give a UTF-8 text file that becomes the target when the block ends well, and vanishes when it does not.

    Readers and crashes see the old file or the new one, never a part.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.new")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(target)
    finally:
        scratch.unlink(missing_ok=True)
