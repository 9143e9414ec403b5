"""Writing and reading prompt bundles: whole, or refused with the reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.engine_bundles import edit_json, write_bundle

from archrouter.bundles.checkpoint import read_checkpoint
from archrouter.bundles.loader import load_bundle
from archrouter.bundles.manifest import BundleError, check_files, read_manifest
from archrouter.bundles.writer import (
    atomic_directory,
    convert_for_cpu,
)
from archrouter.domain.posterior import Calibration


@pytest.fixture
def bundle_directory(checkpoint: Path, tmp_path: Path) -> Path:
    """Write a bundle of the tiny checkpoint without its model."""
    return write_bundle(tmp_path / "bundle", checkpoint)


def test_a_written_bundle_loads_with_the_checkpoints_facts(bundle_directory: Path) -> None:
    """Identity, limits and prompt come from the files."""
    bundle = load_bundle(bundle_directory)

    assert read_manifest(bundle_directory)[1] == bundle.profile.model_version
    assert 512 == bundle.profile.max_prompt_token_count
    assert ("<|im_end|>", "<|endoftext|>") == (bundle.manifest.end_token, bundle.manifest.pad_token)
    assert "apache-2.0" == bundle.manifest.checkpoint.license
    assert Calibration() == bundle.profile.calibration


def test_the_same_inputs_give_the_same_model_version(checkpoint: Path, bundle_directory: Path, tmp_path: Path) -> None:
    """A bundle's identity is its content."""
    again = write_bundle(tmp_path / "again", checkpoint)

    assert read_manifest(bundle_directory)[1] == read_manifest(again)[1]


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    """The remedy is in the message."""
    with pytest.raises(BundleError, match="archrouter bundle build"):
        load_bundle(tmp_path)


def test_a_malformed_manifest_names_the_field(bundle_directory: Path) -> None:
    """A wrong value and an unknown key are both told."""
    edit_json(bundle_directory / "manifest.json", lambda m: m.update(dialect="xml", extra=1))

    with pytest.raises(BundleError, match=r"dialect: .*extra: "):
        load_bundle(bundle_directory)


@pytest.mark.parametrize("name", ["tokenizer.json", "chat_template.jinja", "prompt_template.txt"])
def test_a_changed_file_is_refused(bundle_directory: Path, name: str) -> None:
    """One byte more is another file."""
    with (bundle_directory / name).open("a") as file:
        file.write(" ")

    with pytest.raises(BundleError, match="changed or cut short"):
        load_bundle(bundle_directory)


def test_a_missing_file_is_refused(bundle_directory: Path) -> None:
    """Every listed file must be there."""
    (bundle_directory / "tokenizer.json").unlink()

    with pytest.raises(BundleError, match="is missing"):
        load_bundle(bundle_directory)


def test_a_file_the_manifest_does_not_list_is_refused(bundle_directory: Path) -> None:
    """A prompt nobody vouches for is not used."""
    edit_json(bundle_directory / "manifest.json", lambda m: m["files"].pop("tokenizer.json"))

    with pytest.raises(BundleError, match=r"does not list tokenizer\.json"):
        load_bundle(bundle_directory)


def test_every_file_can_be_checked(bundle_directory: Path) -> None:
    """The full check covers what a start does not read."""
    manifest, _ = read_manifest(bundle_directory)
    check_files(bundle_directory, manifest)


def test_a_calibration_counts_for_its_own_weights_only(bundle_directory: Path) -> None:
    """Measured on this version it is used; on another it is refused."""
    version = read_manifest(bundle_directory)[1]
    path = bundle_directory / "calibration.json"
    path.write_text(json.dumps({"model_version": version, "temperature": 1.5, "sample_count": 300}))
    calibration = load_bundle(bundle_directory).profile.calibration
    edit_json(path, lambda c: c.update(model_version="sha256:" + "0" * 64))

    assert Calibration(1.5, 300) == calibration
    with pytest.raises(BundleError, match="calibrate again"):
        load_bundle(bundle_directory)


def test_a_malformed_calibration_is_refused(bundle_directory: Path) -> None:
    """A file that is there must be right."""
    (bundle_directory / "calibration.json").write_text("{}")

    with pytest.raises(BundleError, match="malformed"):
        load_bundle(bundle_directory)


def test_an_end_token_the_tokenizer_does_not_have_is_refused(bundle_directory: Path) -> None:
    """The parts of a bundle fit together or it does not serve."""
    edit_json(bundle_directory / "manifest.json", lambda m: m.update(end_token="<|nope|>"))  # noqa: S106  # a token of a vocabulary

    with pytest.raises(BundleError, match=r"manifest\.json and tokenizer\.json do not fit together: .*<\|nope\|>"):
        load_bundle(bundle_directory)


def test_a_special_token_may_have_any_name(bundle_directory: Path) -> None:
    """Also that of something a chat template is given anyway, which then counts."""
    edit_json(bundle_directory / "manifest.json", lambda m: m.update(special_tokens={"messages": "none"}))

    assert load_bundle(bundle_directory).prompt_format.chat_head


def change_config(key: str, value: object) -> Callable[[Path], None]:
    """Set a key of the checkpoint's config.json."""
    return lambda directory: edit_json(directory / "config.json", lambda c: c.update({key: value}))


CHECKPOINT_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "architecture": (change_config("model_type", "llama"), "only qwen2 and qwen3 are supported"),
    "positions": (change_config("max_position_embeddings", None), "max_position_embeddings None"),
    "no config": (lambda d: (d / "config.json").unlink(), r"config\.json cannot be read"),
    "config is no object": (lambda d: (d / "config.json").write_text("[]"), "no JSON object"),
    "config is no JSON": (lambda d: (d / "config.json").write_text("{"), "is not JSON"),
    "no chat template": (
        lambda d: edit_json(d / "tokenizer_config.json", lambda c: c.pop("chat_template")),
        "no chat template",
    ),
    "no end token": (
        lambda d: edit_json(d / "tokenizer_config.json", lambda c: c.update(eos_token=None)),
        "names no eos_token",
    ),
}


@pytest.mark.parametrize("fault", CHECKPOINT_FAULTS)
def test_a_checkpoint_that_cannot_be_used_says_why(checkpoint: Path, tmp_path: Path, fault: str) -> None:
    """Each fault has its own message."""
    change, message = CHECKPOINT_FAULTS[fault]
    directory = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, directory)
    change(directory)

    with pytest.raises(BundleError, match=message):
        read_checkpoint(directory)


def test_a_chat_template_in_its_own_file_is_taken_first(checkpoint: Path, tmp_path: Path) -> None:
    """Newer checkpoints keep it beside the tokenizer's config; tokens may be objects there."""
    directory = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, directory)
    (directory / "chat_template.jinja").write_text("{{ messages[0].content }}")
    edit_json(directory / "tokenizer_config.json", lambda c: c.update(eos_token={"content": "<|im_end|>"}))

    files = read_checkpoint(directory)

    assert "{{ messages[0].content }}" == files.chat_template
    assert "<|im_end|>" == files.end_token


def test_a_checkpoint_without_card_or_weights_says_so(checkpoint: Path, tmp_path: Path) -> None:
    """No prompt to take, and nothing to convert."""
    directory = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, directory)
    (directory / "README.md").unlink()
    (directory / "model.safetensors").unlink()
    files = read_checkpoint(directory)

    assert "unknown" == files.license
    with pytest.raises(BundleError, match="--prompt-template"):
        files.prompt_template()
    with pytest.raises(BundleError, match="download complete"):
        files.weights_digest()


@pytest.mark.parametrize("name", ["README.md", "chat_template.jinja"])
def test_a_file_that_is_no_utf8_is_named_with_its_byte(checkpoint: Path, tmp_path: Path, name: str) -> None:
    """A card in another encoding is an error of the checkpoint, not a traceback."""
    directory = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, directory)
    (directory / name).write_bytes(b"caf\xe9")

    with pytest.raises(BundleError, match=f"{name} is not UTF-8: byte 3 is 0xE9; save it as UTF-8"):
        read_checkpoint(directory)


def test_a_byte_order_mark_before_the_card_is_no_part_of_it(checkpoint: Path, tmp_path: Path) -> None:
    """Editors on Windows put one there; the licence behind it counts."""
    directory = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, directory)
    (directory / "README.md").write_text("---\nlicense: mit\n---\n", "utf-8-sig")

    assert "mit" == read_checkpoint(directory).license


def test_an_atomic_directory_appears_whole(tmp_path: Path) -> None:
    """After the block the target is there, and nothing else."""
    with atomic_directory(tmp_path / "out" / "bundle") as scratch:
        (scratch / "a").write_text("1")

    assert ["bundle"] == [path.name for path in (tmp_path / "out").iterdir()]
    assert "1" == (tmp_path / "out" / "bundle" / "a").read_text()


def test_an_atomic_directory_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    """Half-written bundles do not exist."""

    def fail() -> None:
        with atomic_directory(tmp_path / "bundle") as scratch:
            (scratch / "a").write_text("1")
            msg = "no space left"
            raise OSError(msg)

    with pytest.raises(OSError, match="no space left"):
        fail()
    assert [] == list(tmp_path.iterdir())


def test_an_existing_output_is_never_replaced(tmp_path: Path) -> None:
    """The user decides what is removed."""
    (tmp_path / "bundle").mkdir()

    with pytest.raises(BundleError, match="exists already"), atomic_directory(tmp_path / "bundle"):
        pass


def test_a_failed_conversion_shows_the_builders_words(tmp_path: Path) -> None:
    """A folder without a model cannot be converted, and the message ends with why."""
    with pytest.raises(BundleError, match=r"failed with exit code .*archrouter\[build\]"):
        convert_for_cpu(tmp_path, tmp_path / "out", precision="fp32")
