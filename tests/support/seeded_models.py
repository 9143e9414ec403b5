"""Language models whose logits are a function of the tokens before, and candidates to ask them about."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from archrouter.domain.expansion import DEFAULT_EPSILON, Expansion
from archrouter.domain.trie import CandidateTrie

END = 9
VOCABULARY = 12
SEEDS = st.integers(0, 2**32 - 1)

Row = NDArray[np.float32]
Model = Callable[[tuple[int, ...]], Row]
Tokens = tuple[int, ...]


def make_model(seed: int, spread: float = 3.0) -> Model:
    """Make a language model: logits that are a pseudo-random function of the tokens before."""

    @cache
    def model(tokens: Tokens) -> Row:
        generator = np.random.default_rng([seed, len(tokens), *tokens])
        return (generator.standard_normal(VOCABULARY) * spread).astype(np.float32)

    return model


def brute_force(sequences: list[Tokens], model: Model) -> NDArray[np.float64]:
    """Score every token of every candidate, each against all tokens that any candidate could go on with there."""
    probabilities = []
    for sequence in sequences:
        log_probability = 0.0
        for depth, token in enumerate(sequence):
            allowed = {other[depth] for other in sequences if other[:depth] == sequence[:depth]}
            row = model(sequence[:depth]).astype(np.float64)
            log_probability += row[token] - math.log(sum(math.exp(row[each]) for each in allowed))
        probabilities.append(math.exp(log_probability))
    return np.array(probabilities)


def run(
    sequences: list[Tokens], model: Model, epsilon: float = DEFAULT_EPSILON, longer: list[Tokens] | None = None
) -> Expansion:
    """Ask until there is nothing left to ask."""
    expansion = Expansion.start(CandidateTrie.of(sequences, longer or ()), vocab_size=VOCABULARY, epsilon=epsilon)
    while expansion.paths:
        expansion = expansion.advance([model(path) for path in expansion.paths])
    return expansion


def probabilities_of(expansion: Expansion) -> NDArray[np.float64]:
    """Leave log space."""
    return np.exp(expansion.posterior.log_probabilities)
