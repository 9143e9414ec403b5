"""A call from its tensors' bytes to scores and counts."""

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_model.cache import Vector, VectorCache
from compact_model.candidates import CandidateEncoder
from compact_model.conversation import EarlierMessage, Tokens, Window, read_window, shorten
from compact_model.encoder import Encoder
from compact_model.inputs import USER, parse_conversation
from compact_model.parameters import CueSentences, RouterParameters, read_parameters
from compact_model.scoring import (
    Context,
    CueVectors,
    Features,
    Reading,
    candidate_features,
    logits,
    no_match_features,
)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The answer to one call.

    Attributes:
        logits: float32 [N + 1], natural logarithms up to a constant; the last is no match.
        prompt_token_count: Conversation tokens read, special tokens not counted.
        dropped_message_count: Messages not read at all.
        dropped_token_count: Conversation tokens not read.
    """

    logits: NDArray[np.float32]
    prompt_token_count: int
    dropped_message_count: int
    dropped_token_count: int


class CompactRouter:
    """Scores candidates for a conversation. One instance serves one thread."""

    def __init__(
        self,
        encoder: Encoder,
        parameters: RouterParameters,
        *,
        candidate_cache_capacity: int,
        message_cache_capacity: int,
    ) -> None:
        """Encode the cue sentences.

        Args:
            encoder: Text to vectors.
            parameters: router.json.
            candidate_cache_capacity: Candidates whose vectors are kept, >= 1.
            message_cache_capacity: Messages whose vectors are kept, >= 1; a conversation comes back with each turn.
        """
        self._encoder = encoder
        self._parameters = parameters
        self._messages = VectorCache(message_cache_capacity)
        self._candidates = CandidateEncoder(self._encode_text, candidate_cache_capacity)
        self._cues = self._encode_cues(parameters.cues)

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        intra_op_thread_count: int,
        candidate_cache_capacity: int,
        message_cache_capacity: int,
    ) -> "CompactRouter":
        """Load the model from its version folder.

        Args:
            directory: Holds encoder.onnx, tokenizer.json and router.json.
            intra_op_thread_count: Threads of ONNX Runtime, >= 1.
            candidate_cache_capacity: Candidates whose vectors are kept, >= 1.
            message_cache_capacity: Messages whose vectors are kept, >= 1.

        Returns:
            A router whose encoder has run, so that its first call is as fast as any with candidates new to it.
        """
        return cls(
            Encoder(directory, intra_op_thread_count=intra_op_thread_count),
            read_parameters(directory / "router.json"),
            candidate_cache_capacity=candidate_cache_capacity,
            message_cache_capacity=message_cache_capacity,
        )

    def score(self, conversation: bytes, candidates: Sequence[bytes]) -> Scores:
        """Answer one call.

        Args:
            conversation: UTF-8 JSON of the messages, see ``parse_conversation``.
            candidates: UTF-8 JSON of each of N >= 1 candidates, see ``parse_candidate``.

        Returns:
            Logits and counts.

        Raises:
            InvalidInputError: When either cannot be read.
        """
        window = self.read(conversation)
        candidate_rows, no_match_row = self.features(window, candidates)
        return Scores(
            logits=logits(candidate_rows, no_match_row, self._parameters.weights),
            prompt_token_count=window.token_count,
            dropped_message_count=window.dropped_message_count,
            dropped_token_count=window.dropped_token_count,
        )

    def read(self, conversation: bytes) -> Window:
        """Choose what is read of a conversation.

        Args:
            conversation: UTF-8 JSON of the messages.

        Returns:
            The tokens of each view.

        Raises:
            InvalidInputError: When it cannot be read.
        """
        return read_window(parse_conversation(conversation), self._encoder.tokenize, self._parameters.window)

    def features(self, window: Window, candidates: Sequence[bytes]) -> tuple[Features, Features]:
        """Compute what the fitted weights are applied to.

        Args:
            window: What is read of the conversation.
            candidates: UTF-8 JSON of each of N >= 1 candidates.

        Returns:
            float64 [N, 7] for the candidates and float64 [9] for no match.

        Raises:
            InvalidInputError: When a candidate cannot be read, or there is none.
        """
        rows = self._candidates.encode(candidates)
        reading = self._encode_window(window)
        return candidate_features(reading, rows), no_match_features(reading, self._cues, len(rows))

    def _encode_window(self, window: Window) -> Reading:
        shortness = float(np.exp(-len(window.latest) / self._parameters.context.short_turn_token_scale))
        context = None
        if window.history:
            context = Context(self._encode_message(window.exchange), self._encode_history(window.history))
        return Reading(self._encode_message(window.latest), shortness, context)

    def _encode_history(self, history: Sequence[EarlierMessage]) -> Vector:
        shape = self._parameters.context
        weighted = [
            shape.history_decay**message.age
            * (1.0 if message.role == USER else shape.assistant_share)
            * self._encode_message(message.tokens).astype(np.float64)
            for message in history
        ]
        total = np.sum(weighted, axis=0)
        return np.asarray(total / np.linalg.norm(total), dtype=np.float32)

    def _encode_message(self, tokens: Tokens) -> Vector:
        digest = hashlib.sha256(array("q", tokens).tobytes()).digest()
        return self._messages.get(digest, lambda: self._encoder.encode(tokens))

    def _encode_text(self, text: str) -> Vector:
        limits = self._parameters.window
        return self._encoder.encode(shorten(self._encoder.tokenize(text), limits.latest_token_limit))

    def _encode_cues(self, cues: CueSentences) -> CueVectors:
        return CueVectors(
            courtesy=np.stack([self._encode_text(text) for text in cues.courtesy]),
            continuing=np.stack([self._encode_text(text) for text in cues.continuing]),
            topics=np.stack([self._encode_text(text) for text in cues.topics]),
        )
