"""Step fetch: get a checkpoint at a pinned revision, check that its parts fit together, and record its licence."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from archrouter.bundles.manifest import digest_of_file
from archrouter.bundles.writer import atomic_directory
from engine.checkpoint import CheckedCheckpoint, check_checkpoint
from engine.program import BadInputError, NeedsMoreError

RECORD_FILE = "checkpoint.json"
PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "README.md", "LICENSE*")

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")

Download = Callable[[str, str, Path], None]
"""Gets a hub's repository at a revision into a folder."""


def is_hub_id(source: str) -> bool:
    """Say whether a source is the id of a hub's repository: it looks like one, and no folder has its name."""
    return not Path(source).is_dir() and _HUB_ID.fullmatch(source) is not None


def checkpoint_folder(source: str, output: Path) -> Path:
    """Say where a source's checkpoint lies once the step has run: a downloaded one keeps the model's name."""
    return output / source.rpartition("/")[2] if is_hub_id(source) else Path(source)


def check_source(source: str, revision: str | None) -> None:
    """Refuse a source that is not pinned."""
    if Path(source).is_dir():
        if revision:
            msg = f"--revision belongs to a hub id; {source} is a folder, and its files' digests identify it"
            raise BadInputError(msg)
    elif not is_hub_id(source):
        msg = f"{source} is neither a folder nor a hub id such as owner/name"
        raise BadInputError(msg)
    elif not revision or not _COMMIT.fullmatch(revision):
        msg = (
            f"{source} is no folder here; as a hub id it needs --revision with the full commit of 40 hex digits "
            f"({revision or 'none'} given), because a branch or tag can move"
        )
        raise BadInputError(msg)


def fetch(source: str, revision: str | None, output: Path, download: Download) -> CheckedCheckpoint:
    """Fetch and check a checkpoint."""
    check_source(source, revision)
    with atomic_directory(output) as scratch:
        folder = checkpoint_folder(source, scratch)
        if revision is not None:
            # A folder that outlives an interruption: the hub's library goes on where it was.
            partial = output.with_name(f"{output.name}.download")
            download(source, revision, partial)
            partial.rename(folder)
        checked = check_checkpoint(folder)
        files = sorted({path for pattern in PATTERNS for path in folder.glob(pattern)})
        record = {
            "name": checked.files.name,
            "revision": revision,
            "license": checked.files.license,
            "parameter_count": checked.parameter_count,
            "files": {path.name: {"bytes": path.stat().st_size, "digest": digest_of_file(path)} for path in files},
        }
        (scratch / RECORD_FILE).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return checked


def download_from_hub(hub_id: str, revision: str, folder: Path) -> None:
    """Download with huggingface_hub; files that are there already are not fetched again."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # half a second that a folder need not wait
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415  # same

    try:
        snapshot_download(hub_id, revision=revision, local_dir=folder, allow_patterns=list(PATTERNS))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        msg = f"{hub_id} at {revision} cannot be downloaded: {error}; give a folder that holds it, or check both"
        raise NeedsMoreError(msg) from error
