"""The shape of a Qwen2 model, from its ``config.json``, and whether its tokenizer and weights agree with it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archrouter.bundles.checkpoint import CheckpointFiles, read_checkpoint
from archrouter.bundles.manifest import BundleError
from archrouter.bundles.tokenizer import HfTokenizer
from engine.errors import BadInputError
from engine.weights import EMBEDDING, OUTPUT_LAYER, Weights, read_weights


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of a model.

    Attributes:
        layer_count: Transformer layers.
        hidden_size: Width.
        kv_head_count: Key-value heads of a layer.
        head_size: Width of a head.
        vocab_size: Rows of the embedding, padding included.
        max_positions: Tokens it was made for.
        is_tied: Whether the output layer is the embedding.
    """

    layer_count: int
    hidden_size: int
    kv_head_count: int
    head_size: int
    vocab_size: int
    max_positions: int
    is_tied: bool


@dataclass(frozen=True, slots=True)
class CheckedCheckpoint:
    """A checkpoint whose parts fit together."""

    files: CheckpointFiles
    geometry: Geometry
    weights: Weights


def read_geometry(path: Path) -> Geometry:
    """Read a ``config.json``.

    Args:
        path: The file.

    Returns:
        The model's sizes.

    Raises:
        BadInputError: When it cannot be read, or a size is missing or no positive integer.
    """
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())  # Any: checked below
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise BadInputError(msg) from error
    head_count = _size(path, config, "num_attention_heads")
    hidden_size = _size(path, config, "hidden_size")
    return Geometry(
        layer_count=_size(path, config, "num_hidden_layers"),
        hidden_size=hidden_size,
        kv_head_count=_size(path, config, "num_key_value_heads"),
        head_size=_size(path, config, "head_dim") if config.get("head_dim") else hidden_size // head_count,
        vocab_size=_size(path, config, "vocab_size"),
        max_positions=_size(path, config, "max_position_embeddings"),
        is_tied=bool(config.get("tie_word_embeddings", False)),
    )


def check_checkpoint(directory: Path) -> CheckedCheckpoint:
    """Read a checkpoint and check that config, weights and tokenizer belong together. Reads headers, not weights.

    Args:
        directory: Hugging Face directory.

    Returns:
        Its parts.

    Raises:
        BadInputError: When a file is missing, cut short, or two of them contradict each other.
    """
    try:
        files = read_checkpoint(directory)
    except BundleError as error:
        raise BadInputError(str(error)) from error
    geometry = read_geometry(directory / "config.json")
    weights = read_weights(directory)
    _check_vocabulary(directory, geometry, weights)
    _check_tokenizer(directory, files, geometry)
    return CheckedCheckpoint(files, geometry, weights)


def _check_vocabulary(directory: Path, geometry: Geometry, weights: Weights) -> None:
    expected = (geometry.vocab_size, geometry.hidden_size)
    required = (EMBEDDING,) if geometry.is_tied else (EMBEDDING, OUTPUT_LAYER)
    for name in required:
        found = weights.shapes.get(name)
        if found != expected:
            state = "is missing" if found is None else f"is {list(found)}"
            msg = (
                f"{directory}: {name} {state}, config.json says vocab_size {geometry.vocab_size} and hidden_size "
                f"{geometry.hidden_size}; config.json and weights are not of one model"
            )
            raise BadInputError(msg)


def _check_tokenizer(directory: Path, files: CheckpointFiles, geometry: Geometry) -> None:
    """Check that every id has a row of logits, and that the ids that end a turn are those of the config."""
    try:
        tokenizer = HfTokenizer(files.tokenizer)
        end_id, _ = (tokenizer.control_id(token) for token in (files.end_token, files.pad_token))
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{directory}: tokenizer.json and tokenizer_config.json do not fit together: {error}"
        raise BadInputError(msg) from error
    most = max(tokenizer.vocab_size - 1, *tokenizer.control_ids)
    if most >= geometry.vocab_size:
        msg = (
            f"{directory}: tokenizer.json has token id {most}, config.json says vocab_size {geometry.vocab_size}; "
            "tokenizer and weights are not of one model"
        )
        raise BadInputError(msg)
    ends = _end_ids(directory)
    if ends and end_id not in ends:
        msg = (
            f"{directory}: {files.end_token!r} is token {end_id}, the model ends with {sorted(ends)} by its config; "
            "tokenizer and weights are not of one model"
        )
        raise BadInputError(msg)


def _end_ids(directory: Path) -> set[int]:
    """Collect the ids that end a turn, from both files that may name them."""
    ends: set[int] = set()
    for name in ("config.json", "generation_config.json"):
        path = directory / name
        stated = json.loads(path.read_bytes()).get("eos_token_id") if path.is_file() else None
        ends |= {stated} if isinstance(stated, int) else set(stated or ())
    return ends


def _size(path: Path, config: dict[str, Any], key: str) -> int:  # Any: JSON
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        msg = f"{path}: {key} is {value!r}; it must be a positive integer"
        raise BadInputError(msg)
    return value
