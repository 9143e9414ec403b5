"""Vectors to scores: candidates look at the conversation and at each other, in reader.onnx."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compact_model.candidates import EncodedCandidates, Vector
from compact_model.encoder import load_session, only_inputs_of


class Reader:
    """Scores all candidates of a call together, whatever their order."""

    def __init__(self, directory: Path, *, intra_op_thread_count: int) -> None:
        """Load ``reader.onnx``.

        Args:
            directory: Where it lies.
            intra_op_thread_count: Threads of ONNX Runtime, >= 1.
        """
        self._session = load_session(directory / "reader.onnx", intra_op_thread_count=intra_op_thread_count)

    def score(self, vector: Vector, states: NDArray[np.float32], candidates: EncodedCandidates) -> NDArray[np.float32]:
        """Score.

        Args:
            vector: float32 [384], the conversation's.
            states: float32 [tokens, 384], the conversation's.
            candidates: N of them.

        Returns:
            float32 [N + 1], natural logarithms up to a constant; the last is no match.
        """
        inputs: dict[str, NDArray[Any]] = {
            "vector": vector[None],
            "states": states[None],
            "candidates": candidates.vectors[None],
            "covers_domain": candidates.covers_domain[None],
            "state_mask": np.ones((1, len(states)), dtype=np.bool_),
            "candidate_mask": np.ones((1, len(candidates.vectors)), dtype=np.bool_),
            "examples": candidates.examples.vectors[None],
            "example_mask": candidates.examples.mask[None],
            "not_examples": candidates.not_examples.vectors[None],
            "not_example_mask": candidates.not_examples.mask[None],
        }
        scores: NDArray[np.float32] = self._session.run(["scores"], only_inputs_of(self._session, inputs))[0][0]
        return scores
