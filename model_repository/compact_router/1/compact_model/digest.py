"""The model's version: one digest over every file of the version folder."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

PREFIX = "sha256:"
_CACHES = ("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
"""Folders that running the model, or looking at its code, writes."""


def file_digests(directory: Path) -> dict[str, str]:
    """Digest each file below a folder, but for the caches of Python and of its tools.

    Args:
        directory: The version folder.

    Returns:
        POSIX path relative to ``directory`` to lower-case hexadecimal SHA-256, sorted by path.
    """
    paths = {
        path.relative_to(directory).as_posix(): path
        for path in directory.rglob("*")
        if path.is_file() and not {*_CACHES} & {*path.relative_to(directory).parts}
    }
    return {name: hashlib.sha256(paths[name].read_bytes()).hexdigest() for name in sorted(paths)}


def model_version(digests: Mapping[str, str]) -> str:
    """Name the folder.

    Args:
        digests: From ``file_digests``.

    Returns:
        ``sha256:`` and the SHA-256 of the lines ``<digest>  <path>`` in path order: what `sha256sum` prints for the
        files, hashed once more.
    """
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return PREFIX + hashlib.sha256(lines.encode()).hexdigest()
