"""Text to unit vector: a WordPiece tokenizer and the sentence encoder of encoder.onnx."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from compact_model.cache import Vector

SPECIAL_TOKEN_COUNT = 2
"""``[CLS]`` before and ``[SEP]`` after every sequence."""


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
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = intra_op_thread_count
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(directory / "encoder.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # A literal "[SEP]" in a message is text, not the end of the sequence.
        self._tokenizer.encode_special_tokens = True
        self._start = self._special_token("[CLS]")
        self._end = self._special_token("[SEP]")

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Split a text.

        Args:
            text: Any text; control characters and unknown scripts become nothing or the unknown token.

        Returns:
            Token ids without special tokens.
        """
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode(self, tokens: Sequence[int]) -> Vector:
        """Encode a sequence.

        Args:
            tokens: Ids without special tokens; empty is allowed.

        Returns:
            float32 [384] of length 1; the same bits for the same tokens.
        """
        ids = np.array([[self._start, *tokens, self._end]], dtype=np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        vector: Vector = self._session.run(["sentence_embedding"], inputs)[0][0]
        return vector

    def _special_token(self, token: str) -> int:
        identifier = self._tokenizer.token_to_id(token)
        if identifier is None:
            msg = f"tokenizer.json has no token {token}; it does not belong to this encoder"
            raise ValueError(msg)
        return int(identifier)
