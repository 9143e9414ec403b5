"""Are these the weights that ``model_version`` names?

Clients compare ``model_version`` with the digest of the bundle whose tokenizer and prompt they use. That only helps
where the weights served under it are the bundle's own, which its manifest tells: it lists the digest of every file.
"""

import hashlib
import json
from pathlib import Path

from lm_backend.errors import SettingsError

MANIFEST_FILE = "manifest.json"


def check_bundle(model_directory: Path, model_version: str) -> None:
    """Compare the model's folder with the manifest of its bundle; without a manifest there is nothing to compare.

    Args:
        model_directory: A folder of the bundle, or a link to one.
        model_version: Digest of the bundle's manifest, ``sha256:<hex>``.

    Raises:
        SettingsError: The manifest is another bundle's, or a file of the folder is not the one it lists.
    """
    model_directory = model_directory.resolve()
    bundle = model_directory.parent
    manifest_file = bundle / MANIFEST_FILE
    if not manifest_file.is_file():
        return
    found = _digest(manifest_file)
    if found != model_version:
        message = (
            f"parameter model_version is {model_version!r} but the bundle of model_directory is {found!r}: "
            "deploy the config.pbtxt of this bundle"
        )
        raise SettingsError(message)
    listed: dict[str, str] = json.loads(manifest_file.read_text(encoding="utf-8"))["files"]
    for path in sorted(model_directory.rglob("*")):
        name = path.relative_to(bundle).as_posix()
        if path.is_file() and listed.get(name) != _digest(path):
            message = f"{name} is not the file that the bundle's manifest lists: fetch the bundle again"
            raise SettingsError(message)


def _digest(path: Path) -> str:
    """Return ``sha256:<hex>`` of a file."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
