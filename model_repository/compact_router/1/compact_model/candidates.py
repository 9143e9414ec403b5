"""Routes to vectors: each encoded on its own and kept, so that a policy set is encoded once."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compact_model.cache import Vector, VectorCache
from compact_model.inputs import CANDIDATES, Candidate, InvalidInputError, parse_candidate

_WORD = re.compile(r"[^\W\d_]+")
_SEPARATORS = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True, eq=False)
class EncodedCandidates:
    """The candidates of a call.

    Attributes:
        candidates: N of them, in the order given.
        vectors: float32 [N, 384], unit vectors.
        covers_domain: int64 [N], 1 for a route that stands for its whole domain.
    """

    candidates: tuple[Candidate, ...]
    vectors: NDArray[np.float32]
    covers_domain: NDArray[np.int64]


class CandidateEncoder:
    """Encodes candidates and keeps the vectors of recent ones, by the SHA-256 digest of their bytes."""

    def __init__(self, encode: Callable[[Candidate], Vector], cache_capacity: int) -> None:
        """Start with an empty cache.

        Args:
            encode: Candidate to unit vector.
            cache_capacity: Candidates to keep, >= 1: those of all policy sets in use, or each call encodes them again.
        """
        self._encode = encode
        self.cache = VectorCache(cache_capacity)

    def encode(self, values: Sequence[bytes]) -> EncodedCandidates:
        """Encode the tensor ``candidates``.

        Args:
            values: UTF-8 JSON of N candidates.

        Returns:
            Their vectors and kinds.

        Raises:
            InvalidInputError: When there is none, or one cannot be read.
        """
        if not values:
            problem = "it is empty; at least one candidate is needed"
            raise InvalidInputError(CANDIDATES, problem)
        candidates = tuple(parse_candidate(value, index) for index, value in enumerate(values))
        return EncodedCandidates(
            candidates,
            np.stack([self._vector(*pair) for pair in zip(values, candidates, strict=True)]),
            np.array([not candidate.action for candidate in candidates], dtype=np.int64),
        )

    def _vector(self, value: bytes, candidate: Candidate) -> Vector:
        return self.cache.get(hashlib.sha256(value).digest(), lambda: self._encode(candidate))


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


def candidate_text(candidate: Candidate) -> str:
    """Say what a candidate is in the text that its vector stands for.

    Args:
        candidate: The route.

    Returns:
        Name and description; only the name where there is no description.
    """
    name = candidate_name(candidate)
    return f"{name}: {candidate.description}" if candidate.description.strip() else name


def words_of(candidates: Iterable[Candidate]) -> frozenset[str]:
    """List the words that policies use, which are not taken for mistyped ones.

    Args:
        candidates: The routes.

    Returns:
        Each word of their texts, in small letters.
    """
    return frozenset(word for each in candidates for word in _WORD.findall(candidate_text(each).lower()))
