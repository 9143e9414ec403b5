"""Routes to vectors: each encoded on its own and kept, so that a policy set is encoded once.

A route is compared with conversations in English and with those in other languages by two vectors, since each is the
better for a second reading, and not for the same one (docs/adr/0027-second-reading.md).
"""

import hashlib
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compact_model.cache import Cache
from compact_model.inputs import CANDIDATES, Candidate, InvalidInputError, parse_candidate

Vector = NDArray[np.float32]

SET_CAPACITY = 64
"""Sets of candidates that are kept put together, beside the candidates themselves."""

_WORD = re.compile(r"[^\W\d_]+")
_SEPARATORS = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True, eq=False)
class EncodedExamples:
    """Examples of one kind of N candidates.

    Attributes:
        vectors: float32 [N, E, 384], unit vectors and padding; E is the most that a candidate has, at least 1.
        mask: bool [N, E], false for padding.
    """

    vectors: NDArray[np.float32]
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedCandidates:
    """The candidates of a call.

    Attributes:
        vectors: float32 [N, 384], unit vectors in the order given.
        covers_domain: int64 [N], 1 for a route that stands for its whole domain.
        examples: Of each.
        not_examples: Of each.
    """

    vectors: NDArray[np.float32]
    covers_domain: NDArray[np.int64]
    examples: EncodedExamples
    not_examples: EncodedExamples


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSet:
    """A set of candidates.

    Attributes:
        words: What they say in small letters, see ``words_of``.
        for_english: As conversations in English are compared with them.
        for_others: As conversations in other languages are.
    """

    words: frozenset[str]
    for_english: EncodedCandidates
    for_others: EncodedCandidates


@dataclass(frozen=True, slots=True, eq=False)
class RouteVectors:
    """A route, encoded.

    Attributes:
        for_english: float32 [384], the unit vector that conversations in English are compared with.
        for_others: The same for conversations in other languages.
    """

    for_english: Vector
    for_others: Vector


@dataclass(frozen=True, slots=True, eq=False)
class EncodedCandidate:
    """One candidate.

    Attributes:
        candidate: The route.
        vectors: Its own.
        examples: float32 [384] each.
        not_examples: float32 [384] each.
    """

    candidate: Candidate
    vectors: RouteVectors
    examples: tuple[Vector, ...]
    not_examples: tuple[Vector, ...]


class CandidateEncoder:
    """Encodes candidates and keeps the vectors of recent ones, by the SHA-256 digest of their bytes."""

    def __init__(
        self,
        encode_route: Callable[[Candidate], RouteVectors],
        encode_example: Callable[[str], Vector],
        cache_capacity: int,
    ) -> None:
        """Start with an empty cache.

        Args:
            encode_route: A route to vectors, whatever examples it has.
            encode_example: Text to unit vector.
            cache_capacity: Candidates to keep, >= 1: those of all policy sets in use, or each call encodes them again.
        """
        self._encode_route, self._encode_example = encode_route, encode_example
        self.cache: Cache[EncodedCandidate] = Cache(cache_capacity)
        self._sets: Cache[EncodedSet] = Cache(SET_CAPACITY)
        # Beside the cache, so that a set gets done that does not fit into it beside others.
        self._begun: Cache[tuple[EncodedCandidate, ...]] = Cache(SET_CAPACITY)

    def encode(self, values: Sequence[bytes], budget_s: float = math.inf) -> EncodedSet | None:
        """Encode the tensor ``candidates``, or some of those that are new.

        Args:
            values: UTF-8 JSON of N candidates.
            budget_s: Seconds after which no further one is begun; at least one is encoded.

        Returns:
            Their words, vectors and kinds; None when some are left, which a further call goes on with.

        Raises:
            InvalidInputError: When there is none, or one cannot be read.
        """
        if not values:
            problem = "it is empty; at least one candidate is needed"
            raise InvalidInputError(CANDIDATES, problem)
        digests = [hashlib.sha256(value).digest() for value in values]
        of_set = hashlib.sha256(b"".join(digests)).digest()
        if (known := self._sets.get(of_set)) is not None:
            return known
        encoded = [*(self._begun.get(of_set) or ())]
        started_s = time.perf_counter()
        is_late = False
        for index in range(len(encoded), len(values)):
            one = self.cache.get(digests[index])
            if one is None:
                if is_late:
                    self._begun.put(of_set, tuple(encoded))
                    return None
                one = self._encode_one(values[index], index)
                self.cache.put(digests[index], one)
                is_late = time.perf_counter() - started_s > budget_s
            encoded.append(one)
        together = _together(encoded)
        self._sets.put(of_set, together)
        self._begun.put(of_set, ())
        return together

    def _encode_one(self, value: bytes, index: int) -> EncodedCandidate:
        candidate = parse_candidate(value, index)
        return EncodedCandidate(
            candidate,
            self._encode_route(candidate),
            tuple(self._encode_example(text) for text in candidate.examples),
            tuple(self._encode_example(text) for text in candidate.not_examples),
        )


def _together(encoded: Sequence[EncodedCandidate]) -> EncodedSet:
    for_english = EncodedCandidates(
        np.stack([each.vectors.for_english for each in encoded]),
        np.array([not each.candidate.action for each in encoded], dtype=np.int64),
        _padded([each.examples for each in encoded], encoded[0].vectors.for_english),
        _padded([each.not_examples for each in encoded], encoded[0].vectors.for_english),
    )
    return EncodedSet(
        words_of(each.candidate for each in encoded),
        for_english,
        replace(for_english, vectors=np.stack([each.vectors.for_others for each in encoded])),
    )


def _padded(rows: Sequence[Sequence[Vector]], like: Vector) -> EncodedExamples:
    most = max(1, *(len(row) for row in rows))
    vectors = np.zeros((len(rows), most, *like.shape), dtype=like.dtype)
    mask = np.zeros((len(rows), most), dtype=np.bool_)
    for number, row in enumerate(rows):
        for place, vector in enumerate(row):
            vectors[number, place] = vector
            mask[number, place] = True
    return EncodedExamples(vectors, mask)


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
