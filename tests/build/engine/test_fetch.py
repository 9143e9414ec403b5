"""Getting a checkpoint: pinned, checked, its licence shown, and whole or not there."""

import json
import shutil
from pathlib import Path

import pytest
from engine import fetch
from engine.program import BadInputError, NeedsMoreError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def no_download(hub_id: str, revision: str, folder: Path) -> None:
    """Stand for a hub that must not be asked."""
    pytest.fail(f"asked for {hub_id} at {revision} into {folder}")


def test_a_folder_is_checked_and_recorded_where_it_is(checkpoint: Path, tmp_path: Path) -> None:
    """The record names licence, sizes and the digest of each file; nothing is copied."""
    output = tmp_path / "fetch"

    checked = fetch.fetch(str(checkpoint), None, output, no_download)

    record = json.loads((output / "checkpoint.json").read_text())
    assert ("tiny_checkpoint", "apache-2.0", 673_920) == (
        checked.files.name,
        checked.files.license,
        checked.parameter_count,
    )
    assert ["checkpoint.json"] == [path.name for path in output.iterdir()]
    assert ("apache-2.0", None) == (record["license"], record["revision"])
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} < set(record["files"])
    assert 1_353_088 == record["files"]["model.safetensors"]["bytes"]


def test_a_hub_id_is_downloaded_at_its_commit_under_the_models_name(checkpoint: Path, tmp_path: Path) -> None:
    """The manifest will carry the model's own name, not that of a scratch folder."""
    asked = []

    def download(hub_id: str, revision: str, folder: Path) -> None:
        asked.append((hub_id, revision))
        shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns("onnx"))

    output = tmp_path / "fetch"
    fetch.fetch("owner/Tiny-Router", COMMIT, output, download)

    assert [("owner/Tiny-Router", COMMIT)] == asked
    assert "Tiny-Router" == json.loads((output / "checkpoint.json").read_text())["name"]
    assert (output / "Tiny-Router" / "model.safetensors").is_file()
    assert ["fetch"] == [path.name for path in tmp_path.iterdir()]


def test_an_interrupted_download_goes_on_in_its_own_folder(tmp_path: Path) -> None:
    """What came so far stays for the hub's library; the output is not there."""

    def download(_hub_id: str, _revision: str, folder: Path) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        msg = "the connection was lost"
        raise NeedsMoreError(msg)

    output = tmp_path / "fetch"
    with pytest.raises(NeedsMoreError, match="the connection was lost"):
        fetch.fetch("owner/name", COMMIT, output, download)

    assert ["fetch.download"] == [path.name for path in tmp_path.iterdir()]


def test_the_hubs_refusal_says_what_to_do_instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The library's error becomes one line with a remedy."""

    def refuse(*_arguments: object, **_options: object) -> None:
        msg = "no route to the hub"
        raise OSError(msg)

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)

    with pytest.raises(NeedsMoreError, match=r"owner/name at 0123.* cannot be downloaded: no route to the hub; give"):
        fetch.download_from_hub("owner/name", COMMIT, tmp_path / "folder")


@pytest.mark.parametrize(
    ("source", "revision", "message"),
    [
        ("owner/name", None, "needs --revision with the full commit of 40 hex digits (none given)"),
        ("owner/name", "main", "(main given), because a branch or tag can move"),
        ("not a source", None, "is neither a folder nor a hub id"),
        (".", COMMIT, "--revision belongs to a hub id"),
    ],
)
def test_an_unpinned_source_is_refused(tmp_path: Path, source: str, revision: str | None, message: str) -> None:
    """Nothing that can move under a build is built from."""
    with pytest.raises(BadInputError) as refused:
        fetch.fetch(source, revision, tmp_path / "fetch", no_download)

    assert message in str(refused.value)
    assert [] == list(tmp_path.iterdir())
