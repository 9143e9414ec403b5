"""Tokens to vectors: a WordPiece tokenizer and the sentence encoder of encoder.onnx."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from compact_model.cache import Vector
from compact_model.conversation import SpecialTokens, Tokens
from compact_model.inputs import ASSISTANT, USER


class WordPieces:
    """Splits texts into the encoder's tokens. A literal "[SEP]" in a text is text, not the end of the sequence."""

    def __init__(self, directory: Path) -> None:
        """Load ``tokenizer.json``.

        Args:
            directory: Where it lies.

        Raises:
            ValueError: When it lacks a token that marks a sequence's parts.
        """
        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True
        roles = {role: self._id_of(role) for role in (USER, ASSISTANT)}
        self.special = SpecialTokens(self._id_of("[CLS]"), self._id_of("[SEP]"), roles)

    def tokenize(self, text: str) -> Tokens:
        """Split a text.

        Args:
            text: Any text; control characters and unknown scripts become nothing or the unknown token.

        Returns:
            Token ids without special tokens.
        """
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def is_word(self, word: str) -> bool:
        """Say whether a word is one token.

        Args:
            word: In small letters.

        Returns:
            Whether the vocabulary has it whole: the encoder then knows what it means.
        """
        return self._tokenizer.token_to_id(word) is not None

    def _id_of(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            msg = f"tokenizer.json has no token {token}; it does not belong to this encoder"
            raise ValueError(msg)
        return int(found)


class Encoder:
    """Encodes one sequence at a time.

    Dynamic quantisation scales activations over the whole batch, so a text encoded beside others would get another
    vector than alone. One at a time, a vector depends on nothing but its tokens; on a CPU a batch is no faster.
    """

    def __init__(self, directory: Path, *, intra_op_thread_count: int) -> None:
        """Load ``encoder.onnx`` and ``tokenizer.json``.

        Args:
            directory: Where both lie.
            intra_op_thread_count: Threads of ONNX Runtime, >= 1.
        """
        self._session = load_session(directory / "encoder.onnx", intra_op_thread_count=intra_op_thread_count)
        self.tokenizer = WordPieces(directory)

    def encode(self, ids: Tokens, types: Tokens) -> tuple[Vector, NDArray[np.float32]]:
        """Encode a sequence.

        Args:
            ids: Token ids with special tokens.
            types: Token types, as many.

        Returns:
            float32 [384] of length 1 and the token states, float32 [tokens, 384]; the same bits for the same tokens.
        """
        inputs = {"input_ids": np.array([ids], dtype=np.int64), "token_type_ids": np.array([types], dtype=np.int64)}
        vectors, states = self._session.run(["vector", "states"], inputs)
        return vectors[0], states[0]


def load_session(path: Path, *, intra_op_thread_count: int) -> onnxruntime.InferenceSession:
    """Open an ONNX file for the CPU.

    Args:
        path: The file.
        intra_op_thread_count: Threads, >= 1.

    Returns:
        The session; its threads sleep between calls instead of spinning, since the service shares the cores.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = intra_op_thread_count
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
