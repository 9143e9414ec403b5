"""Routes to vectors: each on its own, so that neither order nor company changes its score."""

import hashlib
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from compact_model.cache import Vector, VectorCache
from compact_model.inputs import CANDIDATES, Candidate, InvalidInputError, parse_candidate

_SEPARATORS = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")


class CandidateEncoder:
    """Encodes candidates and keeps the vectors of recent ones, by the SHA-256 digest of their bytes."""

    def __init__(self, encode: Callable[[str], Vector], cache_capacity: int) -> None:
        """Start with an empty cache.

        Args:
            encode: Text to unit vector.
            cache_capacity: Candidates to keep, >= 1: those of all policy sets in use, or each call encodes anew.
        """
        self._encode = encode
        self.cache = VectorCache(cache_capacity)

    def encode(self, values: Sequence[bytes]) -> NDArray[np.float32]:
        """Encode the tensor ``candidates``.

        Args:
            values: UTF-8 JSON of N candidates.

        Returns:
            float32 [N, 384], unit vectors in the order given.

        Raises:
            InvalidInputError: When there is none, or one cannot be read.
        """
        if not values:
            problem = "it is empty; at least one candidate is needed"
            raise InvalidInputError(CANDIDATES, problem)
        return np.stack([self._vector(value, index) for index, value in enumerate(values)])

    def _vector(self, value: bytes, index: int) -> Vector:
        digest = hashlib.sha256(value).digest()
        return self.cache.get(digest, lambda: self._compute(parse_candidate(value, index)))

    def _compute(self, candidate: Candidate) -> Vector:
        mean = np.mean([self._encode(text) for text in candidate_texts(candidate)], axis=0, dtype=np.float64)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)


def candidate_name(candidate: Candidate) -> str:
    """Put a candidate's name into words.

    Args:
        candidate: The route.

    Returns:
        The words of domain, action and id, each once, in that order: ``code_generation`` in the domain ``coding``
        gives ``coding code generation``.
    """
    words: dict[str, str] = {}
    for word in _SEPARATORS.sub(" ", f"{candidate.domain} {candidate.action} {candidate.id}").split():
        words.setdefault(word.lower(), word)
    return " ".join(words.values()) or candidate.id


def candidate_texts(candidate: Candidate) -> tuple[str, ...]:
    """Say what a candidate is in the three ways whose mean vector stands for it.

    Args:
        candidate: The route.

    Returns:
        Name with description, description, name; only the name where there is no description.
    """
    name = candidate_name(candidate)
    if not candidate.description.strip():
        return (name,)
    return (f"{name}: {candidate.description}", candidate.description, name)
