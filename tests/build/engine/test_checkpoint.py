"""A checkpoint whose parts do not belong together is refused before anything is made of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from engine.checkpoint import check_checkpoint
from engine.program import BadInputError


def edit(path: Path, **changes: object) -> None:
    """Change a JSON file in place; None removes a key."""
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def shorten(path: Path, byte_count: int) -> None:
    """Cut the end of a file off."""
    path.write_bytes(path.read_bytes()[:-byte_count])


def swap_end_token(directory: Path) -> None:
    """Give the checkpoint the tokenizer of another model: the same ids, another end of turn."""
    edit(directory / "tokenizer_config.json", eos_token="<|im_start|>")  # noqa: S106  # a token of a vocabulary


def grow_tokenizer(directory: Path) -> None:
    """Add a token whose id has no row of logits."""
    path = directory / "tokenizer.json"
    content = json.loads(path.read_text())
    content["added_tokens"].append({**content["added_tokens"][-1], "id": 1024, "content": "<|extra|>"})
    path.write_text(json.dumps(content))


def list_missing_tensor(directory: Path) -> None:
    """Index a tensor that no file has."""
    index = {"weight_map": {"model.layers.9.mlp.up_proj.weight": "model-00002-of-00002.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "wrong vocabulary size": (
        lambda d: edit(d / "config.json", vocab_size=1000),
        r"embed_tokens.weight is \[1024, 128\], config.json says vocab_size 1000 .* not of one model",
    ),
    "output layer missing": (
        lambda d: edit(d / "config.json", tie_word_embeddings=False),
        "lm_head.weight is missing",
    ),
    "tokenizer larger than the vocabulary": (grow_tokenizer, "token id 1024, config.json says vocab_size 1024"),
    "tokenizer of another model": (swap_end_token, r"'<\|im_start\|>' is token 961, the model ends with \[960, 962\]"),
    "tokenizer without the end token": (
        lambda d: edit(d / "tokenizer_config.json", eos_token="<|nope|>"),  # noqa: S106  # same
        "do not fit together",
    ),
    "tokenizer is no tokenizer": (lambda d: (d / "tokenizer.json").write_text("{}"), "do not fit together"),
    "weights cut short": (
        lambda d: shorten(d / "model.safetensors", 1),
        "has 1353087 bytes, its header describes 1353088: it is cut short",
    ),
    "weights empty": (lambda d: (d / "model.safetensors").write_bytes(b""), "damaged header"),
    "weights are no safetensors": (lambda d: (d / "model.safetensors").write_bytes(b"\xff" * 64), "no safetensors"),
    "header damaged": (
        lambda d: (d / "model.safetensors").write_bytes((4).to_bytes(8, "little") + b"[1]}"),
        "damaged header",
    ),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "download complete"),
    "a file of several is missing": (list_missing_tensor, r"lacks 1 of 1 tensors, model\.layers\.9"),
    "index is no index": (lambda d: (d / "model.safetensors.index.json").write_text("[]"), "no index of weights"),
    "a size is missing": (
        lambda d: edit(d / "config.json", hidden_size=None),
        "hidden_size is None; it must be a positive integer",
    ),
    "heads of another size": (
        lambda d: edit(d / "config.json", head_dim=64),
        r"layers\.0\.self_attn\.q_proj\.weight is \[128, 128\], by config.json it is \[256, 128\]; .* not of one model",
    ),
    "weights of another family": (
        lambda d: edit(d / "config.json", model_type="qwen3"),
        r"layers\.0\.self_attn\.q_norm\.weight is missing, by config.json it is \[32\]; .* not of one model",
    ),
    "another architecture": (
        lambda d: edit(d / "config.json", model_type="llama"),
        "only qwen2 and qwen3 are supported",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_own_message(own_checkpoint: Path, fault: str) -> None:
    """What is wrong, with which values, and what to do."""
    damage, message = FAULTS[fault]
    damage(own_checkpoint)

    with pytest.raises(BadInputError, match=message):
        check_checkpoint(own_checkpoint)


def test_a_sound_checkpoint_is_described_by_its_headers(checkpoint: Path) -> None:
    """Sizes come from config and headers; no weight is read."""
    checked = check_checkpoint(checkpoint)

    geometry = checked.geometry
    assert 673_920 == checked.parameter_count
    assert (128, 1024, 1024, True) == (
        geometry.hidden_size,
        geometry.vocab_size,
        geometry.max_positions,
        geometry.is_tied,
    )


def test_a_qwen3_checkpoint_has_heads_of_a_size_of_their_own(root: Path) -> None:
    """Four heads of 32 over a width of 64, a norm for each: sound by its config, which no Qwen2's would be."""
    checked = check_checkpoint(root / "tests" / "data" / "tiny_successor")

    assert {"hidden": 64, "head": 32, "query": 128} == checked.geometry.dimensions
    assert (32,) == checked.shapes["model.layers.1.self_attn.k_norm.weight"]


def test_a_qwen3_checkpoint_without_its_head_size_is_refused(root: Path, tmp_path: Path) -> None:
    """The width over the number of heads is not what its weights have."""
    directory = Path(shutil.copytree(root / "tests" / "data" / "tiny_successor", tmp_path / "tiny"))
    edit(directory / "config.json", head_dim=None)

    with pytest.raises(BadInputError, match=r"q_proj\.weight is \[128, 64\], by config.json it is \[64, 64\]"):
        check_checkpoint(directory)
