"""A call from its tensors' bytes to scores and counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_model.candidates import CandidateEncoder, Vector
from compact_model.conversation import LATEST_TYPE, Tokens, excerpt, read_window, shorten
from compact_model.encoder import Encoders
from compact_model.inputs import USER, parse_conversation
from compact_model.parameters import WindowLimits, read_parameters
from compact_model.reader import Reader
from compact_model.spelling import Spelling


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The answer to one call.

    Attributes:
        logits: float32 [N + 1], natural logarithms up to a constant; the last is no match.
        prompt_token_count: Conversation tokens read, special tokens not counted.
        dropped_message_count: Messages before the latest user message for which no room was left.
        dropped_token_count: Conversation tokens that did not fit, in part an estimate, see ``Window``.
    """

    logits: NDArray[np.float32]
    prompt_token_count: int
    dropped_message_count: int
    dropped_token_count: int


class CompactRouter:
    """Scores candidates for a conversation, for any number of threads."""

    def __init__(
        self,
        encoders: Encoders,
        reader: Reader,
        spelling: Spelling,
        limits: WindowLimits,
        *,
        candidate_cache_capacity: int,
        other_languages_temperature: float = 1.0,
    ) -> None:
        """Join the parts.

        Args:
            encoders: Tokens to vectors.
            reader: Vectors to scores.
            spelling: Of messages in English.
            limits: How much is read.
            candidate_cache_capacity: Candidates whose vectors are kept, >= 1.
            other_languages_temperature: What scores of conversations in other languages than English are divided by, so
                that one calibration serves both, > 0.
        """
        self._encoders = encoders
        self._reader = reader
        self._spelling = spelling
        self._limits = limits
        self._other_languages_temperature = np.float32(other_languages_temperature)
        self._candidates = CandidateEncoder(self._encode_alone, candidate_cache_capacity)

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        intra_op_thread_count: int,
        candidate_cache_capacity: int,
        other_languages_temperature: float | None = None,
    ) -> "CompactRouter":
        """Load the model from its version folder.

        Args:
            directory: Holds encoder.onnx, reader.onnx, tokenizer.json, words.txt, router.json, and in the folder
                other_languages an encoder.onnx and a tokenizer.json more.
            intra_op_thread_count: Threads of ONNX Runtime, >= 1.
            candidate_cache_capacity: Candidates whose vectors are kept, >= 1.
            other_languages_temperature: See the constructor; what router.json says when it is None.

        Returns:
            A router.
        """
        limits, temperature = read_parameters(directory / "router.json")
        return cls(
            Encoders(directory, intra_op_thread_count=intra_op_thread_count),
            Reader(directory, intra_op_thread_count=intra_op_thread_count),
            Spelling(directory / "words.txt"),
            limits,
            candidate_cache_capacity=candidate_cache_capacity,
            other_languages_temperature=other_languages_temperature or temperature,
        )

    def score(self, conversation: bytes, candidates: Sequence[bytes]) -> Scores:
        """Answer one call.

        Args:
            conversation: UTF-8 JSON of the messages, see ``parse_conversation``.
            candidates: UTF-8 JSON of each of N >= 1 candidates, see ``parse_candidate``.

        Returns:
            Logits and counts; the same bits whatever else is answered at the time.

        Raises:
            InvalidInputError: When either cannot be read.
        """
        while (scores := self.score_within(math.inf, conversation, candidates)) is None:
            pass
        return scores

    def score_within(self, budget_s: float, conversation: bytes, candidates: Sequence[bytes]) -> Scores | None:
        """Answer one call, unless too many of its candidates are new.

        Args:
            budget_s: Seconds after which no further new candidate is encoded; at least one is.
            conversation: See ``score``.
            candidates: See ``score``.

        Returns:
            Logits and counts; None when some candidates are left to encode, with which a further call goes on.

        Raises:
            InvalidInputError: When either cannot be read.
        """
        encoded = self._candidates.encode(candidates, budget_s)
        if encoded is None:
            return None
        messages = parse_conversation(conversation)
        encoder = self._encoders.of(each.content for each in reversed(messages) if each.role == USER)
        tokenizer = encoder.tokenizer

        def is_known(word: str) -> bool:
            return tokenizer.is_word(word) or word in encoded.words

        def tokenize_english(text: str) -> Tokens:
            return tokenizer.tokenize(self._spelling.correct(text, is_known))

        is_english = encoder is self._encoders.english
        tokenize = tokenize_english if is_english else tokenizer.tokenize
        window = read_window(messages, tokenize, self._limits)
        vector, states = encoder.encode(*window.sequence(tokenizer.special))
        logits = self._reader.score(vector, states, encoded)
        return Scores(
            logits=logits if is_english else logits / self._other_languages_temperature,
            prompt_token_count=window.token_count,
            dropped_message_count=window.dropped_message_count,
            dropped_token_count=window.dropped_token_count,
        )

    def _encode_alone(self, text: str, told_by: str) -> Vector:
        encoder = self._encoders.of((told_by, text))
        tokenizer = encoder.tokenizer
        limit = self._limits.candidate_token_limit
        tokens = shorten(tokenizer.tokenize(excerpt(text, limit)[0]), limit)
        ids = (*tokenizer.special.start, *tokens, tokenizer.special.end)
        vector, _ = encoder.encode(ids, (LATEST_TYPE,) * len(ids))
        return vector
