"""manifest.json of the model: where its files come from and what their digests are."""

import hashlib
import json
from pathlib import Path
from typing import Any

MODEL_DIRECTORY = Path(__file__).parents[2] / "model_repository" / "compact_router"
VERSION = "1"
"""Triton's version folder."""

JsonObject = dict[str, Any]  # Any: JSON


def read_json(path: Path) -> JsonObject:
    """Read a JSON object; empty where the file does not exist."""
    if not path.exists():
        return {}
    document: JsonObject = json.loads(path.read_text(encoding="utf-8"))
    return document


def render_json(document: JsonObject) -> str:
    """Lay out a JSON object for people and for diffs."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def update_manifest(model_directory: Path, **sections: JsonObject | str) -> None:
    """Replace sections of manifest.json, keeping the others."""
    path = model_directory / "manifest.json"
    path.write_text(render_json({**read_json(path), **sections}), encoding="utf-8")


def digest_of(path: Path) -> str:
    """Give a file's SHA-256 in lower-case hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
