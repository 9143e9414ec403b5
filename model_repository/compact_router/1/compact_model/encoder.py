"""Tokens to vectors: a tokenizer and the sentence encoder of encoder.onnx, for English and for other languages."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from compact_model.conversation import SpecialTokens, TextTokens, Tokens
from compact_model.inputs import ASSISTANT, USER
from compact_model.language import is_english

TOKENIZER = "tokenizer.json"

OTHER_LANGUAGES = "other_languages"
"""Folder of the encoder of a hundred languages, beside the files of the one of English."""

BEGIN, END = "<s>", "</s>"
"""Tokens of a multilingual encoder; one of English has ``[CLS]`` and ``[SEP]``."""

MULTILINGUAL_PREFIX = "query:"
"""What a multilingual encoder learned to find before every text."""


class TokenPieces:
    """Splits texts into the encoder's tokens. A literal "[SEP]" in a text is text, not the end of the sequence."""

    def __init__(self, definition: str) -> None:
        """Load a tokenizer.

        Args:
            definition: The content of ``tokenizer.json``.

        Raises:
            ValueError: When it lacks a token that marks a sequence's parts.
        """
        self._tokenizer = Tokenizer.from_str(definition)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True
        is_multilingual = self._tokenizer.token_to_id(BEGIN) is not None
        begin, end = (BEGIN, END) if is_multilingual else ("[CLS]", "[SEP]")
        self._word_start = "\N{LOWER ONE EIGHTH BLOCK}" if is_multilingual else ""
        self.special = SpecialTokens(
            start=(self._id_of(begin), *(self.tokenize(MULTILINGUAL_PREFIX) if is_multilingual else ())),
            end=self._id_of(end),
            roles={role: self.tokenize(role) for role in (USER, ASSISTANT)},
        )

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
        return self._tokenizer.token_to_id(self._word_start + word) is not None

    def _id_of(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            msg = f"tokenizer.json has no token {token}; it does not belong to this encoder"
            raise ValueError(msg)
        return int(found)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Texts that were encoded together.

    Attributes:
        vectors: float32 [texts, 384] of length 1.
        states: float32 [tokens, 384], of all of them.
        text_mask: float32 [texts, tokens], 1 where a token is of a text.
    """

    vectors: NDArray[np.float32]
    states: NDArray[np.float32]
    text_mask: NDArray[np.float32]

    def of(self, places: Sequence[int]) -> "Encoded":
        """Give some of the texts.

        Args:
            places: Theirs.

        Returns:
            Them, with the states of all.
        """
        return Encoded(self.vectors[places], self.states, self.text_mask[places])


class Encoder:
    """Encodes texts, several in one run: they stand one after the other, and each sees itself alone."""

    def __init__(self, directory: Path, *, intra_op_thread_count: int) -> None:
        """Load ``encoder.onnx`` and ``tokenizer.json``, both at a time: until then there is no service.

        Args:
            directory: Where both lie.
            intra_op_thread_count: Threads of ONNX Runtime, >= 1.
        """
        with ThreadPoolExecutor(1) as beside:
            session = beside.submit(
                load_session, directory / "encoder.onnx", intra_op_thread_count=intra_op_thread_count
            )
            self.tokenizer = TokenPieces((directory / TOKENIZER).read_text(encoding="utf-8"))
        self._session = session.result()

    def encode(self, texts: Sequence[TextTokens]) -> Encoded:
        """Encode texts in one run.

        Args:
            texts: At least one.

        Returns:
            Them. A text that is given alone has the same bits each time; beside others its last ones may differ.
        """
        inputs = inputs_of(texts)
        vectors, states = self._session.run(["vectors", "states"], inputs)
        return Encoded(vectors, states, inputs["text_mask"])


class Encoders:
    """An encoder of English, and one of other languages that gives a text the vector of its translation."""

    def __init__(self, directory: Path, *, intra_op_thread_count: int) -> None:
        """Load both at a time; a model may be without the second, and reads everything with the first.

        Args:
            directory: Where the files of the first lie, and the folder of the second.
            intra_op_thread_count: Threads of ONNX Runtime, >= 1.
        """
        has_others = (directory / OTHER_LANGUAGES).is_dir()
        folders = (directory, directory / OTHER_LANGUAGES) if has_others else (directory,)
        with ThreadPoolExecutor() as pool:
            loaded = [pool.submit(Encoder, each, intra_op_thread_count=intra_op_thread_count) for each in folders]
        self.english = loaded[0].result()
        self.others = loaded[-1].result()

    def of(self, texts: Iterable[str]) -> Encoder:
        """Choose by the first text that is long enough to tell its language.

        Args:
            texts: What one wrote, any number.

        Returns:
            The encoder; that of English where none tells.
        """
        known = (found for text in texts if (found := is_english(text)) is not None)
        return self.english if next(known, True) else self.others


def inputs_of(texts: Sequence[TextTokens]) -> dict[str, NDArray[Any]]:
    """Lay texts out for encoder.onnx.

    Args:
        texts: At least one.

    Returns:
        ``input_ids``, ``token_type_ids`` and ``position_ids``, int64 [tokens], and ``text_mask``, float32
        [texts, tokens], 1 where a token is of a text.
    """
    token_counts = [len(ids) for ids, _ in texts]
    of_text = np.repeat(np.arange(len(texts)), token_counts)
    return {
        "input_ids": np.array([token for ids, _ in texts for token in ids], dtype=np.int64),
        "token_type_ids": np.array([each for _, types in texts for each in types], dtype=np.int64),
        "position_ids": np.concatenate([np.arange(count) for count in token_counts]),
        "text_mask": (of_text == np.arange(len(texts))[:, None]).astype(np.float32),
    }


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
    # Fused, sum and layer norm run without vector instructions on a CPU; one after the other they take a fifth as long.
    apart = ["SkipLayerNormFusion"]
    return onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=apart
    )
