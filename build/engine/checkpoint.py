"""Whether a checkpoint's config, weights and tokenizer belong together. Reads headers, no weights."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from archrouter.bundles.checkpoint import CheckpointFiles, read_checkpoint
from archrouter.bundles.families import ModelFamily
from archrouter.bundles.manifest import BundleError
from archrouter.bundles.tokenizer import HfTokenizer
from engine.program import BadInputError

_EMBEDDING = "model.embed_tokens.weight"
_OUTPUT_LAYER = "lm_head.weight"
_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 100 * 1024 * 1024  # the format's own bound
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sizes of a model; the vocabulary's counts padding, a tied model's output layer is its embedding.

    In Qwen3 the heads together may be wider than the model.
    """

    hidden_size: int
    vocab_size: int
    max_positions: int
    is_tied: bool
    layer_count: int
    head_count: int
    head_size: int

    @property
    def dimensions(self) -> dict[str, int]:
        """Sizes by the names in `ModelFamily.layer_tensors`."""
        return {"hidden": self.hidden_size, "head": self.head_size, "query": self.head_count * self.head_size}


@dataclass(frozen=True, slots=True)
class CheckedCheckpoint:
    """A checkpoint whose parts fit together."""

    files: CheckpointFiles
    geometry: Geometry
    shapes: dict[str, tuple[int, ...]]

    @property
    def parameter_count(self) -> int:
        """Numbers in all tensors."""
        return sum(map(prod, self.shapes.values()))


def check_checkpoint(directory: Path) -> CheckedCheckpoint:
    """Read a checkpoint and check that config, weights and tokenizer belong together."""
    try:
        files = read_checkpoint(directory)
    except BundleError as error:
        raise BadInputError(str(error)) from error
    geometry = _read_geometry(directory / "config.json")
    shapes = _read_shapes(directory)
    _check_vocabulary(directory, geometry, shapes)
    _check_layers(directory, files.family, geometry, shapes)
    _check_tokenizer(directory, files, geometry)
    return CheckedCheckpoint(files, geometry, shapes)


def _read_geometry(path: Path) -> Geometry:
    """Read a ``config.json``; a size that is missing or no positive integer raises BadInputError."""
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())  # Any: checked below
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise BadInputError(msg) from error

    def size(key: str) -> int:
        value = config.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            msg = f"{path}: {key} is {value!r}; it must be a positive integer"
            raise BadInputError(msg)
        return value

    hidden_size, head_count = size("hidden_size"), size("num_attention_heads")
    return Geometry(
        hidden_size=hidden_size,
        vocab_size=size("vocab_size"),
        max_positions=size("max_position_embeddings"),
        is_tied=bool(config.get("tie_word_embeddings", False)),
        layer_count=size("num_hidden_layers"),
        head_count=head_count,
        head_size=size("head_dim") if config.get("head_dim") is not None else hidden_size // head_count,
    )


def _read_shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    """Read the headers of all ``*.safetensors`` of a folder: the shape of each tensor, by name."""
    paths = sorted(directory.glob("*.safetensors"))
    if not paths:
        msg = f"{directory} holds no *.safetensors; is the download complete?"
        raise BadInputError(msg)
    shapes: dict[str, tuple[int, ...]] = {}
    for path in paths:
        shapes |= _read_header(path)
    _check_index(directory, shapes)
    return shapes


def _read_header(path: Path) -> dict[str, tuple[int, ...]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > min(_MOST_HEADER_BYTES, size):
            msg = f"{path} is no safetensors file, or cut short: its header would be {length} bytes; fetch it again"
            raise BadInputError(msg)
        try:
            header: dict[str, Any] = json.loads(file.read(length))  # Any: checked below
            tensors = {name: _parse(entry) for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{path} has a damaged header ({error}); fetch it again"
            raise BadInputError(msg) from error
    expected = _LENGTH_BYTES + length + max((end for _, end in tensors.values()), default=0)
    if size != expected:
        msg = f"{path} has {size} bytes, its header describes {expected}: it is cut short or damaged; fetch it again"
        raise BadInputError(msg)
    return {name: shape for name, (shape, _) in tensors.items()}


def _parse(entry: dict[str, Any]) -> tuple[tuple[int, ...], int]:  # Any: JSON
    """Return a tensor's shape and where its bytes end."""
    shape = tuple(int(size) for size in entry["shape"])
    start, end = (int(offset) for offset in entry["data_offsets"])
    if end - start != prod(shape) * _BYTES.get(entry["dtype"], 1):
        msg = f"a tensor of {entry['dtype']} {list(shape)} cannot have {end - start} bytes"
        raise ValueError(msg)
    return shape, end


def _check_index(directory: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Compare with the index of a checkpoint in several files: all of its tensors must be there."""
    path = directory / "model.safetensors.index.json"
    if not path.is_file():
        return
    try:
        listed = set(json.loads(path.read_text("utf-8"))["weight_map"])
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path} is no index of weights ({error}); fetch it again"
        raise BadInputError(msg) from error
    missing = sorted(listed - set(shapes))
    if missing:
        msg = f"{directory} lacks {len(missing)} of {len(listed)} tensors, {missing[0]} among them; fetch it again"
        raise BadInputError(msg)


def _check_vocabulary(directory: Path, geometry: Geometry, shapes: dict[str, tuple[int, ...]]) -> None:
    expected = (geometry.vocab_size, geometry.hidden_size)
    for name in (_EMBEDDING,) if geometry.is_tied else (_EMBEDDING, _OUTPUT_LAYER):
        found = shapes.get(name)
        if found != expected:
            state = "is missing" if found is None else f"is {list(found)}"
            msg = (
                f"{directory}: {name} {state}, config.json says vocab_size {geometry.vocab_size} and hidden_size "
                f"{geometry.hidden_size}; config.json and weights are not of one model"
            )
            raise BadInputError(msg)


def _check_layers(directory: Path, family: ModelFamily, geometry: Geometry, shapes: dict[str, tuple[int, ...]]) -> None:
    """Check that every layer has the tensors by which the family is known, of the sizes the config says."""
    for layer in range(geometry.layer_count):
        for name, dimensions in family.layer_tensors.items():
            full_name = f"model.layers.{layer}.{name}"
            expected, found = tuple(geometry.dimensions[each] for each in dimensions), shapes.get(full_name)
            if found != expected:
                state = "is missing" if found is None else f"is {list(found)}"
                msg = (
                    f"{directory}: {full_name} {state}, by config.json it is {list(expected)}; config.json and weights "
                    "are not of one model"
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
