"""A checkpoint's weights without reading them: names, shapes and sizes out of the headers of its safetensors files."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from engine.errors import BadInputError

EMBEDDING = "model.embed_tokens.weight"
OUTPUT_LAYER = "lm_head.weight"

_LENGTH_BYTES = 8
_MOST_HEADER_BYTES = 100 * 1024 * 1024  # the format's own bound
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class Weights:
    """What the headers say.

    Attributes:
        shapes: By tensor name.
        byte_count: Of all files together.
        file_names: In the order of their names.
    """

    shapes: dict[str, tuple[int, ...]]
    byte_count: int
    file_names: tuple[str, ...]

    @property
    def parameter_count(self) -> int:
        """Numbers in all tensors."""
        return sum(prod(shape) for shape in self.shapes.values())


def read_weights(directory: Path) -> Weights:
    """Read the headers of all ``*.safetensors`` of a checkpoint.

    Args:
        directory: Hugging Face directory.

    Returns:
        Names, shapes and sizes.

    Raises:
        BadInputError: When there is no file, or one is damaged or cut short.
    """
    paths = sorted(directory.glob("*.safetensors"))
    if not paths:
        msg = f"{directory} holds no *.safetensors; is the download complete?"
        raise BadInputError(msg)
    shapes: dict[str, tuple[int, ...]] = {}
    for path in paths:
        shapes |= _read_header(path)
    _check_index(directory, shapes)
    return Weights(shapes, sum(path.stat().st_size for path in paths), tuple(path.name for path in paths))


def _read_header(path: Path) -> dict[str, tuple[int, ...]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > min(_MOST_HEADER_BYTES, size):
            msg = f"{path} is no safetensors file, or cut short: its header would be {length} bytes; fetch it again"
            raise BadInputError(msg)
        try:
            header: dict[str, Any] = json.loads(file.read(length))  # Any: checked below
            tensors = {name: _Tensor.parse(entry) for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{path} has a damaged header ({error}); fetch it again"
            raise BadInputError(msg) from error
    expected = _LENGTH_BYTES + length + max((tensor.end for tensor in tensors.values()), default=0)
    if size != expected:
        msg = f"{path} has {size} bytes, its header describes {expected}: it is cut short or damaged; fetch it again"
        raise BadInputError(msg)
    return {name: tensor.shape for name, tensor in tensors.items()}


@dataclass(frozen=True, slots=True)
class _Tensor:
    shape: tuple[int, ...]
    end: int

    @classmethod
    def parse(cls, entry: dict[str, Any]) -> "_Tensor":  # Any: JSON
        shape = tuple(int(size) for size in entry["shape"])
        start, end = (int(offset) for offset in entry["data_offsets"])
        if end - start != prod(shape) * _BYTES.get(entry["dtype"], 1):
            msg = f"a tensor of {entry['dtype']} {list(shape)} cannot have {end - start} bytes"
            raise ValueError(msg)
        return cls(shape, end)


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
