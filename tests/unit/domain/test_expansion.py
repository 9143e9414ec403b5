"""The posterior over candidates equals brute force over their full token sequences."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.seeded_models import END, SEEDS, VOCABULARY, Tokens, brute_force, make_model, probabilities_of, run

from archrouter.domain.errors import BackendProtocolError
from archrouter.domain.expansion import DEFAULT_EPSILON, Expansion
from archrouter.domain.trie import CandidateTrie

BODIES = st.lists(st.lists(st.integers(0, 3), max_size=6).map(tuple), min_size=1, max_size=24, unique=True)
SEQUENCES = BODIES.map(lambda bodies: [(*body, END) for body in bodies])


@given(SEQUENCES, SEEDS)
def test_posterior_equals_brute_force_when_everything_is_asked(sequences: list[Tokens], seed: int) -> None:
    """1e-9 absolute: both sides are float64 sums of at most seven terms."""
    model = make_model(seed)

    expansion = run(sequences, model, epsilon=0.0)

    np.testing.assert_allclose(probabilities_of(expansion), brute_force(sequences, model), rtol=0, atol=1e-9)
    assert expansion.posterior.exact.all()


@given(SEQUENCES, SEEDS, st.floats(0, 0.9))
def test_no_probability_is_off_by_more_than_epsilon(sequences: list[Tokens], seed: int, epsilon: float) -> None:
    """And those called exact are exact."""
    model = make_model(seed)
    expected = brute_force(sequences, model)

    expansion = run(sequences, model, epsilon)

    error = np.abs(probabilities_of(expansion) - expected)
    assert error.max() <= epsilon + 1e-9
    assert error[expansion.posterior.exact].max(initial=0.0) <= 1e-9


@given(SEQUENCES, SEEDS, st.floats(0, 0.9), st.floats(0, 500))
def test_posterior_sums_to_one_at_every_step(sequences: list[Tokens], seed: int, epsilon: float, spread: float) -> None:
    """Asking may stop at any time, for any sharpness of the model."""
    model = make_model(seed, spread)
    expansion = Expansion.start(CandidateTrie.of(sequences), vocab_size=VOCABULARY, epsilon=epsilon)

    sums = [probabilities_of(expansion).sum()]
    while expansion.paths:
        expansion = expansion.advance([model(path) for path in expansion.paths])
        sums.append(probabilities_of(expansion).sum())

    np.testing.assert_allclose(sums, 1.0, rtol=0, atol=1e-9)


@given(SEQUENCES, SEEDS, st.floats(0, 0.9), st.randoms(use_true_random=False))
def test_posterior_is_independent_of_the_order_of_candidates(
    sequences: list[Tokens], seed: int, epsilon: float, shuffler: random.Random
) -> None:
    """Bit for bit: another order of the same candidates asks the same calls and gives the same numbers."""
    model = make_model(seed)
    order = list(range(len(sequences)))
    shuffler.shuffle(order)

    first, second = run(sequences, model, epsilon), run([sequences[index] for index in order], model, epsilon)

    assert first.posterior.log_probabilities[order].tolist() == second.posterior.log_probabilities.tolist()
    assert first.posterior.exact[order].tolist() == second.posterior.exact.tolist()
    assert (first.on_trie_mass, first.call_count) == (second.on_trie_mass, second.call_count)


@given(SEQUENCES, SEEDS)
def test_leader_equals_greedy_constrained_decoding_where_that_is_most_probable(
    sequences: list[Tokens], seed: int
) -> None:
    """Where the greedy path is not the most probable candidate, decoding is what is wrong."""
    model = make_model(seed)
    greedy: Tokens = ()
    while greedy not in sequences:
        allowed = sorted({other[len(greedy)] for other in sequences if other[: len(greedy)] == greedy})
        greedy = (*greedy, allowed[int(model(greedy)[allowed].argmax())])
    expected = brute_force(sequences, model)
    assume(expected.argmax() == sequences.index(greedy))
    assume(expected.max() > DEFAULT_EPSILON)

    leader = int(run(sequences, model).posterior.log_probabilities.argmax())

    assert greedy == sequences[leader]


@given(SEQUENCES, SEEDS, st.floats(1e-4, 0.9))
def test_calls_are_the_root_and_every_branch_above_epsilon(sequences: list[Tokens], seed: int, epsilon: float) -> None:
    """The number of calls is known in advance from the posterior, and bounded depth by depth."""
    model = make_model(seed)
    trie = CandidateTrie.of(sequences)
    expected = brute_force(sequences, model)
    masses = [sum(expected[i] for i in c.answers) for b in trie.branches for c in b.children if c.branch is not None]
    assume(all(abs(mass - epsilon) > 1e-9 for mass in masses))

    expansion = Expansion.start(trie, vocab_size=VOCABULARY, epsilon=epsilon)
    rounds = []
    while expansion.paths:
        rounds.append(len(expansion.paths))
        expansion = expansion.advance([model(path) for path in expansion.paths])

    assert bool(trie.branches) + sum(mass > epsilon for mass in masses) == expansion.call_count
    assert sum(rounds) == expansion.call_count
    assert all(count == 1 or count < 1 / epsilon for count in rounds)


@given(SEQUENCES, SEEDS)
def test_calls_of_one_depth_come_best_first(sequences: list[Tokens], seed: int) -> None:
    """A caller that must stop early has asked what matters most."""
    model = make_model(seed)
    expected = brute_force(sequences, model)

    expansion = Expansion.start(CandidateTrie.of(sequences), vocab_size=VOCABULARY, epsilon=0.0)
    while expansion.paths:
        masses = [
            sum(p for p, s in zip(expected, sequences, strict=True) if s[: len(path)] == path)
            for path in expansion.paths
        ]
        assert all(later <= earlier + 1e-9 for earlier, later in pairwise(masses))
        expansion = expansion.advance([model(path) for path in expansion.paths])


def test_usual_decision_costs_one_call() -> None:
    """Answers that part at the first free token are decided by the root's row alone."""
    expansion = run([(7, 0, END), (7, 1, END), (7, 2, END)], make_model(1))

    assert expansion.call_count == 1


def test_on_trie_mass_is_the_share_of_the_whole_vocabulary() -> None:
    """Two of four equally likely tokens are candidates: half of the belief is on the trie."""
    trie = CandidateTrie.of([(0, END), (1, END)])
    row = np.full(VOCABULARY, -np.inf, dtype=np.float32)
    row[:4] = 5.0
    start = Expansion.start(trie, vocab_size=VOCABULARY)

    assert start.on_trie_mass == 1.0
    assert start.advance([row]).on_trie_mass == pytest.approx(0.5, abs=1e-12)


def test_on_trie_mass_is_of_the_root_only() -> None:
    """A later row says nothing about what else the model wanted to answer."""
    trie = CandidateTrie.of([(0, 0, END), (0, 1, END), (1, END)])
    row = np.zeros(VOCABULARY, dtype=np.float32)
    later = np.arange(VOCABULARY, dtype=np.float32)

    expansion = Expansion.start(trie, vocab_size=VOCABULARY).advance([row]).advance([later])

    assert expansion.on_trie_mass == pytest.approx(2 / VOCABULARY, abs=1e-12)


def test_impossible_subtree_is_not_asked_and_has_no_mass() -> None:
    """Minus infinity stays minus infinity; an even share of nothing is exact, with every epsilon."""
    row = np.zeros(VOCABULARY, dtype=np.float32)
    row[0] = -np.inf
    trie = CandidateTrie.of([(0, 0, END), (0, 1, END), (1, END)])

    expansion = Expansion.start(trie, vocab_size=VOCABULARY, epsilon=0.0).advance([row])

    assert expansion.paths == ()
    assert [0.0, 0.0, 1.0] == probabilities_of(expansion).tolist()
    assert expansion.posterior.exact.all()


def test_subtree_under_epsilon_shares_its_mass_evenly() -> None:
    """The two candidates below get half each and say that this was not asked."""
    row = np.zeros(VOCABULARY, dtype=np.float32)
    row[1] = 10.0
    trie = CandidateTrie.of([(0, 0, END), (0, 1, END), (1, END)])

    expansion = Expansion.start(trie, vocab_size=VOCABULARY).advance([row])

    mass = 1 / (1 + math.exp(10))
    np.testing.assert_allclose(probabilities_of(expansion), [mass / 2, mass / 2, 1 - mass], rtol=1e-12)
    assert [False, False, True] == expansion.posterior.exact.tolist()


def test_one_candidate_is_certain_without_a_call() -> None:
    """Nothing to ask, and a finished state takes no rows."""
    expansion = Expansion.start(CandidateTrie.of([(1, END)]), vocab_size=VOCABULARY)

    finished = expansion.advance([])

    assert ((), 0, 1.0) == (finished.paths, finished.call_count, finished.on_trie_mass)
    assert [0.0] == finished.posterior.log_probabilities.tolist()
    assert finished.posterior.exact.all()


def test_before_any_call_belief_is_even() -> None:
    """Nothing known, nothing claimed to be exact."""
    expansion = Expansion.start(CandidateTrie.of([(0, END), (1, END)]), vocab_size=VOCABULARY)

    np.testing.assert_allclose(probabilities_of(expansion), 0.5)
    assert not expansion.posterior.exact.any()


def test_advancing_leaves_the_earlier_state_as_it_was() -> None:
    """States are values: one may go on from any of them again."""
    expansion = Expansion.start(CandidateTrie.of([(0, END), (1, END)]), vocab_size=VOCABULARY)

    expansion.advance([np.arange(VOCABULARY, dtype=np.float32)])

    np.testing.assert_allclose(probabilities_of(expansion), 0.5)


def test_row_longer_than_the_vocabulary_is_taken() -> None:
    """Engines pad the vocabulary: Qwen2.5's rows have 151,936 logits for fewer ids."""
    expansion = Expansion.start(CandidateTrie.of([(0, END), (1, END)]), vocab_size=VOCABULARY)

    assert expansion.advance([np.zeros(VOCABULARY + 5, dtype=np.float32)]).paths == ()


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "0 rows of logits answer 1 calls"),
        ([np.zeros(VOCABULARY)] * 2, "2 rows of logits answer 1 calls"),
        ([np.zeros(VOCABULARY - 1)], r"shape \[11\]; the tokenizer has 12 ids"),
        ([np.zeros((1, VOCABULARY))], r"shape \[1, 12\]; the tokenizer has 12 ids"),
        ([np.full(VOCABULARY, np.nan)], "holds nan"),
        ([np.array([np.nan] + [0.0] * (VOCABULARY - 1))], "holds nan"),
        ([np.array([np.inf] + [0.0] * (VOCABULARY - 1))], "holds inf"),
        ([np.full(VOCABULARY, -np.inf)], "each of the 2 tokens impossible"),
        ([np.array([-np.inf] * 2 + [0.0] * (VOCABULARY - 2))], "each of the 2 tokens impossible"),
    ],
)
def test_rows_that_break_the_contract_are_refused(rows: list[NDArray[np.float64]], problem: str) -> None:
    """No decision rests on logits that mean nothing."""
    expansion = Expansion.start(CandidateTrie.of([(0, END), (1, END)]), vocab_size=VOCABULARY)

    with pytest.raises(BackendProtocolError, match=problem):
        expansion.advance([row.astype(np.float32) for row in rows])


@pytest.mark.parametrize("epsilon", [-0.1, 1.0, math.nan])
def test_epsilon_out_of_range_is_refused(epsilon: float) -> None:
    """A mass of one or more would never ask twice; NaN is no mass."""
    with pytest.raises(ValueError, match="epsilon is"):
        Expansion.start(CandidateTrie.of([(0, END), (1, END)]), vocab_size=VOCABULARY, epsilon=epsilon)
