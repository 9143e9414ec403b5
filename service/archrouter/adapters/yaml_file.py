"""Files of a policy directory: which there are, and their text."""

import os
import stat
from pathlib import Path

from archrouter.adapters.yaml_nodes import MAX_DOCUMENT_BYTES
from archrouter.domain.findings import Finding, Severity

_SUFFIXES = frozenset({".yaml", ".yml"})
_SUITE_ENDING = "_test"


def policy_files(directory: Path) -> tuple[Path, ...]:
    """List the policy files of a directory.

    Args:
        directory: Where to look; folders in it are not entered.

    Returns:
        ``*.yaml`` and ``*.yml`` without the suites and without names that begin with a dot, which editors and
        Kubernetes keep for themselves; sorted by name.

    Raises:
        OSError: When the directory cannot be listed.
    """
    return tuple(path for path in _yaml_files(directory) if not path.stem.endswith(_SUITE_ENDING))


def suite_files(directory: Path) -> tuple[Path, ...]:
    """List the policy suites of a directory.

    Args:
        directory: Where to look; folders in it are not entered.

    Returns:
        ``*_test.yaml`` and ``*_test.yml``, sorted by name.

    Raises:
        OSError: When the directory cannot be listed.
    """
    return tuple(path for path in _yaml_files(directory) if path.stem.endswith(_SUITE_ENDING))


def read_text(path: Path) -> str | Finding:
    """Read a file of UTF-8 text.

    Args:
        path: The file; of any size and kind.

    Returns:
        Its text, or the error that keeps it from being read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return _error("is not a regular file; remove it or rename it")
        with path.open("rb") as file:
            content = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        return _error(f"cannot be read: {error.strerror}; check that it exists and its permissions")
    if len(content) > MAX_DOCUMENT_BYTES:
        return _error(f"has more than {MAX_DOCUMENT_BYTES} bytes; split it")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        return _encoding_error(content, error.start)


def display_name(path: Path) -> str:
    """Name a file for people.

    Args:
        path: The file.

    Returns:
        Its name without the directories above it; bytes that are not UTF-8 become U+FFFD.
    """
    return os.fsencode(path.name or path).decode(errors="replace")


def _yaml_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix in _SUFFIXES and not path.name.startswith("."))


def _error(message: str, line: int = 0, column: int = 0) -> Finding:
    return Finding(Severity.ERROR, "", message, line, column)


def _encoding_error(content: bytes, offset: int) -> Finding:
    before = content[:offset]
    line_start = before.rfind(b"\n") + 1
    return _error(
        f"the byte 0x{content[offset]:02X} is not UTF-8; save the file as UTF-8",
        before.count(b"\n") + 1,
        len(before[line_start:].decode()) + 1,
    )
