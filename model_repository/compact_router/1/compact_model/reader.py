"""Vectors to scores: candidates look at the conversation and at each other, in reader.onnx."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compact_model.candidates import EncodedCandidates
from compact_model.encoder import Encoded, load_session


class Reader:
    """Scores all candidates of a call together, whatever their order."""

    def __init__(self, directory: Path, *, intra_op_thread_count: int) -> None:
        """Load ``reader.onnx``.

        Args:
            directory: Where it lies.
            intra_op_thread_count: Threads of ONNX Runtime, >= 1.
        """
        self._session = load_session(directory / "reader.onnx", intra_op_thread_count=intra_op_thread_count)

    def score(self, conversations: Encoded, candidates: EncodedCandidates) -> NDArray[np.float32]:
        """Score.

        Args:
            conversations: B of them.
            candidates: N of them, the same for all.

        Returns:
            float32 [B, N + 1], natural logarithms up to a constant; the last is no match.
        """
        inputs: dict[str, NDArray[Any]] = {
            "vectors": conversations.vectors,
            "states": conversations.states,
            "text_mask": conversations.text_mask,
            "candidates": candidates.vectors,
            "covers_domain": candidates.covers_domain,
            "examples": candidates.examples.vectors,
            "example_mask": candidates.examples.mask,
            "not_examples": candidates.not_examples.vectors,
            "not_example_mask": candidates.not_examples.mask,
        }
        scores: NDArray[np.float32] = self._session.run(["scores"], inputs)[0]
        return scores
