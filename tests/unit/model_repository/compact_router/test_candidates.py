"""A candidate's words, and the bounded memory of its vector."""

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from compact_model.candidates import (
    CandidateEncoder,
    EncodedSet,
    RouteVectors,
    Vector,
    candidate_name,
    candidate_text,
    words_of,
)
from compact_model.inputs import Candidate, InvalidInputError


@pytest.mark.parametrize(
    ("candidate", "name"),
    [
        (Candidate("bank_transfer", "bank", "transfer", ""), "bank transfer"),
        (Candidate("code_generation", "coding", "generate", ""), "coding generate code generation"),
        (Candidate("banking", "banking", "", ""), "banking"),
        (Candidate("bookFlight", "Travel", "book-flight", ""), "Travel book flight"),
        (Candidate("übersetzung.text", "", "", ""), "übersetzung text"),
        (Candidate("--", "", "", ""), "--"),
    ],
)
def test_a_candidates_name_is_each_of_its_words_once(candidate: Candidate, name: str) -> None:
    """Ids are written for machines; the encoder reads words."""
    assert name == candidate_name(candidate)


def test_a_candidate_without_a_description_is_its_name() -> None:
    """An empty description must not pull every such candidate towards the same vector."""
    assert "bank transfer" == candidate_text(Candidate("bank_transfer", "bank", "transfer", " "))


def encoding(encode: Callable[[str], Vector], cache_capacity: int) -> CandidateEncoder:
    """Encode all texts in one way, and a route for other languages as the opposite of what it is for English."""
    return CandidateEncoder(lambda route: RouteVectors(encode(route.id), -encode(route.id)), encode, cache_capacity)


def ones(_text: str) -> Vector:
    """Take all texts for the same."""
    return np.ones(4, dtype=np.float32)


def whole(encoded: EncodedSet | None) -> EncodedSet:
    """Return candidates that are all encoded."""
    assert encoded is not None
    return encoded


def test_candidates_are_encoded_once_and_forgotten_beyond_the_bound() -> None:
    """Two policy sets in turn cost nothing while they fit, and no memory beyond the bound when they do not."""
    encoded: list[str] = []

    def encode_route(route: Candidate) -> RouteVectors:
        encoded.append(route.id)
        vector: Vector = np.eye(4, dtype=np.float32)[len(encoded) % 4]
        return RouteVectors(vector, -vector)

    encoder = CandidateEncoder(encode_route, ones, cache_capacity=2)
    values = [json.dumps({"id": name, "domain": "", "action": "", "description": ""}).encode() for name in "abc"]

    first = whole(encoder.encode(values[:2]))
    again = whole(encoder.encode(values[:2]))
    encoder.encode(values)

    assert ["a", "b", "c"] == encoded
    assert np.array_equal(first.for_english.vectors, again.for_english.vectors)
    assert np.array_equal(first.for_others.vectors, -again.for_english.vectors)
    assert 2 == len(encoder.cache)


def test_a_route_without_an_action_stands_for_its_domain() -> None:
    """The reader is told so, since such a route takes what no action of its domain takes."""
    encoder = encoding(ones, cache_capacity=2)
    routes = [{"id": "a", "domain": "d", "action": action, "description": ""} for action in ("", "a")]

    found = whole(encoder.encode([json.dumps(route).encode() for route in routes]))

    assert [[1, 0], [1, 0]] == [each.covers_domain.tolist() for each in (found.for_english, found.for_others)]


def test_no_candidate_is_refused() -> None:
    """Without candidates there is nothing to choose from, which is the caller's mistake."""
    encoder = encoding(ones, cache_capacity=2)

    with pytest.raises(InvalidInputError, match="tensor 'candidates': it is empty"):
        encoder.encode([])


def test_a_bad_candidate_is_refused_with_its_position(candidates: Sequence[bytes]) -> None:
    """The position is the one in the tensor, not the one among candidates still unknown."""
    encoder = encoding(ones, cache_capacity=8)
    encoder.encode(candidates[:2])

    with pytest.raises(InvalidInputError, match="element 2 is not JSON"):
        encoder.encode([*candidates[:2], b"?"])


def test_words_of_policies_are_those_of_names_and_descriptions() -> None:
    """Whole words in small letters, without the syntax around them."""
    routes = [Candidate("sendVenmo", "pay_ment", "send", "Zelle's café\nv2beta"), Candidate("x", "", "", "")]

    assert {"send", "venmo", "pay", "ment", "zelle", "s", "café", "v", "beta", "x"} == words_of(routes)


@pytest.mark.parametrize("capacity", [1, 8])
def test_new_candidates_are_encoded_in_slices(capacity: int) -> None:
    """Out of time, a call gets one candidate further; the last one answers it, and then none is encoded again.

    So it is with a set that does not fit into the cache: otherwise it would begin anew for ever.
    """
    encoded: list[str] = []

    def encode_route(route: Candidate) -> RouteVectors:
        encoded.append(route.id)
        return RouteVectors(ones(route.id), ones(route.id))

    encoder = CandidateEncoder(encode_route, ones, cache_capacity=capacity)
    values = [json.dumps({"id": name, "domain": "", "action": "", "description": ""}).encode() for name in "abc"]

    answers = [encoder.encode(values, budget_s=0.0) for _ in range(4)]

    assert [True, True, False, False] == [answer is None for answer in answers]
    assert ["a", "b", "c"] == encoded


def test_examples_are_encoded_beside_their_candidate() -> None:
    """Each stands in its candidate's row; the others' rows are padded, and so is what none has."""
    encoder = encoding(lambda text: np.full(4, float(len(text)), dtype=np.float32), cache_capacity=8)
    routes = [
        {"id": "a", "domain": "", "action": "a", "description": "", "examples": ["xx", "xxx"]},
        {"id": "b", "domain": "", "action": "b", "description": ""},
    ]

    found = whole(encoder.encode([json.dumps(route).encode() for route in routes])).for_english

    assert [[2.0, 3.0], [0.0, 0.0]] == found.examples.vectors[:, :, 0].tolist()
    assert [[True, True], [False, False]] == found.examples.mask.tolist()
    assert [[False], [False]] == found.not_examples.mask.tolist()
