"""reference_lm serves a bundle's own weights under its version, or does not load."""

import hashlib
import json
from pathlib import Path

import pytest
from lm_backend.errors import SettingsError
from lm_backend.integrity import check_bundle


def digest_of(content: bytes) -> str:
    """Return the digest as a manifest writes it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def make_bundle(folder: Path) -> str:
    """Write a bundle with one model file and return its version."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.onnx").write_bytes(b"weights")
    manifest = json.dumps({"files": {"model/model.onnx": digest_of(b"weights")}}).encode()
    (folder / "manifest.json").write_bytes(manifest)
    return digest_of(manifest)


def test_a_bundle_is_accepted_when_its_files_are_those_of_the_manifest(tmp_path: Path) -> None:
    """Also through a link from the version folder, as a repository is deployed."""
    version = make_bundle(tmp_path / "bundle")
    (tmp_path / "model").symlink_to(tmp_path / "bundle" / "model")

    check_bundle(tmp_path / "bundle" / "model", version)
    check_bundle(tmp_path / "model", version)


def test_a_folder_without_a_manifest_is_taken_as_declared(tmp_path: Path) -> None:
    """An export that no bundle was made of can be served, under whatever version its config declares."""
    (tmp_path / "model").mkdir()

    check_bundle(tmp_path / "model", "")


def test_loading_is_refused_when_the_version_is_another_bundles(tmp_path: Path) -> None:
    """A config.pbtxt left over from the bundle before is found at start-up, not by wrong answers."""
    make_bundle(tmp_path)

    with pytest.raises(SettingsError, match="model_version is 'sha256:00' but the bundle of model_directory is"):
        check_bundle(tmp_path / "model", "sha256:00")


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_loading_is_refused_when_a_file_is_not_the_listed_one(tmp_path: Path, name: str) -> None:
    """Changed weights and files that the manifest does not know are both named."""
    version = make_bundle(tmp_path)
    (tmp_path / "model" / name).write_bytes(b"other weights")

    with pytest.raises(SettingsError, match=rf"model/{name} is not the file that the bundle's manifest lists"):
        check_bundle(tmp_path / "model", version)
