"""Files that are there whole or not at all, whatever happens while they are written."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write a file beside its name, then give it the name; when that fails, an earlier one is still there.

    Args:
        path: What is written or replaced; its folder exists.
        content: All of it.
        mode: Permissions; None leaves them to the process, as `open` does.

    Raises:
        OSError: When it cannot be written. Nothing is left of what was begun.
    """
    unfinished = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # before the rename, or a lost machine leaves an empty file under the name
        if mode is not None:
            unfinished.chmod(mode)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
