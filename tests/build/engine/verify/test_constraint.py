"""Brute force over answers, checked against the trie and by hand."""

import math

import numpy as np
import pytest
from engine.verify.agreement import constrained_probabilities
from hypothesis import given
from hypothesis import strategies as st

from archrouter.domain.expansion import Expansion
from archrouter.domain.trie import CandidateTrie

VOCABULARY = 4
END = 0


@st.composite
def answers_and_seed(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], int]:
    """Draw different answers over a small vocabulary, each closed by an end token no answer holds inside."""
    bodies = st.lists(st.integers(1, VOCABULARY - 1), max_size=4).map(tuple)
    answers = draw(st.lists(bodies, min_size=1, max_size=8, unique=True))
    return [(*body, END) for body in answers], draw(st.integers(0, 2**32 - 1))


def logits_after(path: tuple[int, ...], seed: int) -> np.ndarray:  # type: ignore[type-arg]  # float32 [VOCABULARY]
    """Be a language model: a row of logits for every path, always the same one."""
    return np.random.default_rng([seed, *path]).normal(size=VOCABULARY).astype(np.float32)


def log_probs_of(answer: tuple[int, ...], seed: int) -> list[float]:
    """Score an answer token by token over the whole vocabulary."""
    found = []
    for position, token in enumerate(answer):
        row = logits_after(answer[:position], seed).astype(np.float64)
        found.append(float(row[token] - np.log(np.exp(row).sum())))
    return found


@given(answers_and_seed())
def test_brute_force_and_the_trie_give_the_same_probabilities(drawn: tuple[list[tuple[int, ...]], int]) -> None:
    """Two ways that share nothing agree for any answers and any model, and sum to one."""
    answers, seed = drawn
    expansion = Expansion.start(CandidateTrie.of(answers), vocab_size=VOCABULARY, epsilon=0.0)
    while expansion.paths:
        expansion = expansion.advance([logits_after(path, seed) for path in expansion.paths])

    found = constrained_probabilities(answers, [log_probs_of(answer, seed) for answer in answers])

    np.testing.assert_allclose(found, np.exp(expansion.posterior.log_probabilities), atol=1e-6)
    assert math.fsum(found) == pytest.approx(1.0)


def test_only_the_tokens_where_answers_part_count() -> None:
    """What all answers share is certain, however unlikely the model finds it."""
    answers = [(7, 1, END), (7, 2, END)]

    found = constrained_probabilities(answers, [[-50.0, math.log(0.3), -9.0], [-50.0, math.log(0.1), 0.0]])

    assert pytest.approx([0.75, 0.25]) == found
