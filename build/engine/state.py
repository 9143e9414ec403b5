"""What a step was made from and what it made, in a file next to its output: the memory of a resumed build."""

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archrouter.bundles.manifest import digest_of, digest_of_file

_FORMAT = 1


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileMark(_Strict):
    """A file as the step left it."""

    byte_count: int = Field(ge=0)
    mtime_ns: int = Field(description="Spares hashing: a file of the same size and time is taken as unchanged.")
    digest: str


class StepState(_Strict):
    """A finished step."""

    format: int = _FORMAT
    step: str
    key: str = Field(description="Digest of the step's commands and inputs.")
    elapsed_s: float = Field(ge=0)
    files: dict[str, FileMark]

    @property
    def digest(self) -> str:
        """Digest over the contents the step made: what steps that read them depend on."""
        return digest_of_mapping({name: mark.digest for name, mark in self.files.items()})


def digest_of_mapping(content: Mapping[str, object]) -> str:
    """Hash a JSON object.

    Args:
        content: What JSON can hold; the order of keys does not matter.

    Returns:
        ``sha256:<hex>``.
    """
    return digest_of(json.dumps(content, sort_keys=True, ensure_ascii=False).encode())


def digest_of_path(path: Path) -> str:
    """Hash a file, or every file below a folder with its name. O(bytes)."""
    if path.is_file():
        return digest_of_file(path)
    return digest_of_mapping({str(p.relative_to(path)): digest_of_file(p) for p in _files_below(path)})


def fingerprint(path: Path) -> str:
    """Hash names, sizes and times of a folder's files: a cheap sign that large files may have changed."""
    stats = {path_.name: path_.stat() for path_ in sorted(path.iterdir()) if path_.is_file()}
    return digest_of_mapping({name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()})


def read_state(path: Path) -> StepState | None:
    """Read a state file.

    Args:
        path: The file.

    Returns:
        The state; None when there is none, or one that this version cannot read.
    """
    try:
        state = StepState.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return state if state.format == _FORMAT else None


def write_state(path: Path, step: str, key: str, output: Path, elapsed_s: float) -> StepState:
    """Record a finished step, whole or not at all.

    Args:
        path: Where.
        step: Its name.
        key: Digest of its commands and inputs.
        output: File or folder it made, below the state file's folder. O(bytes).
        elapsed_s: Seconds it took.

    Returns:
        The state.
    """
    files = {str(file.relative_to(path.parent)): _mark(file) for file in _files_below(output)}
    state = StepState(step=step, key=key, elapsed_s=round(elapsed_s, 3), files=files)
    scratch = path.with_suffix(".scratch")
    scratch.write_text(state.model_dump_json(indent=1) + "\n", "utf-8")
    scratch.replace(path)
    return state


def is_whole(path: Path, state: StepState) -> bool:
    """Say whether every file a step made is still as it left it.

    Args:
        path: The state file.
        state: Its content.

    Returns:
        False for a file that is missing or differs. Files of the same size and time are not read again.
    """
    return all(_is_same(path.parent / name, mark) for name, mark in state.files.items())


def _is_same(path: Path, mark: FileMark) -> bool:
    if not path.is_file():
        return False
    stat = path.stat()
    if stat.st_size != mark.byte_count:
        return False
    return stat.st_mtime_ns == mark.mtime_ns or digest_of_file(path) == mark.digest


def _mark(path: Path) -> FileMark:
    stat = path.stat()
    return FileMark(byte_count=stat.st_size, mtime_ns=stat.st_mtime_ns, digest=digest_of_file(path))


def _files_below(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.is_file())
