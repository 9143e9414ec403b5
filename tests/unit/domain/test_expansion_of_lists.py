"""Of a list of routes the first decides: its probability equals brute force over all lists."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support.seeded_models import (
    END,
    SEEDS,
    VOCABULARY,
    Model,
    Tokens,
    brute_force,
    make_model,
    probabilities_of,
    run,
)

from archrouter.domain.expansion import DEFAULT_EPSILON, Expansion
from archrouter.domain.trie import CandidateTrie

OPEN, CLOSE, COMMA, EMPTY = 4, 5, 6, 7
ELEMENTS = st.lists(st.lists(st.integers(0, 3), max_size=4).map(tuple), min_size=1, max_size=5, unique=True)


def list_of(*elements: Tokens) -> Tokens:
    """Write a list answer."""
    inside = [token for element in elements for token in (COMMA, *element)]
    return (OPEN, *inside[1:], CLOSE, END) if elements else (EMPTY, END)


def run_lists(elements: list[Tokens], model: Model, epsilon: float = DEFAULT_EPSILON) -> Expansion:
    """Decide which element comes first, or that the list is empty."""
    shortest = [*(list_of(element) for element in elements), list_of()]
    return run(shortest, model, epsilon, [list_of(element, element) for element in elements])


def brute_force_lists(elements: list[Tokens], model: Model) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score all lists of up to two elements: for each first element, and none, all its lists and the longer ones."""
    lists: list[tuple[Tokens, ...]] = [(), *((first,) for first in elements)]
    lists += [(first, second) for first in elements for second in elements]
    probabilities = brute_force([list_of(*each) for each in lists], model)
    totals, longer = np.zeros(len(elements) + 1), np.zeros(len(elements) + 1)
    first = [elements.index(each[0]) if each else len(elements) for each in lists]
    np.add.at(totals, first, probabilities)
    np.add.at(longer, first, probabilities * [len(each) > 1 for each in lists])
    return totals, longer


@given(ELEMENTS, SEEDS)
def test_first_element_of_a_list_equals_brute_force_over_all_lists(elements: list[Tokens], seed: int) -> None:
    """Ids that begin other ids included: what follows the first element is added up, however the list goes on."""
    model = make_model(seed)
    expected, longer = brute_force_lists(elements, model)

    expansion = run_lists(elements, model, epsilon=0.0)

    np.testing.assert_allclose(probabilities_of(expansion), expected, rtol=0, atol=1e-9)
    winner = int(probabilities_of(expansion).argmax())
    assert pytest.approx(longer[winner] / expected[winner], abs=1e-9) == expansion.longer_list_mass
    assert expansion.posterior.exact.all()


@given(ELEMENTS, SEEDS, st.floats(0, 0.3))
def test_first_element_of_a_list_is_off_by_no_more_than_epsilon(
    elements: list[Tokens], seed: int, epsilon: float
) -> None:
    """The bound is the same as for answers that are no lists."""
    model = make_model(seed)
    expected, _ = brute_force_lists(elements, model)

    expansion = run_lists(elements, model, epsilon)

    error = np.abs(probabilities_of(expansion) - expected)
    assert error.max() <= epsilon + 1e-9
    assert error[expansion.posterior.exact].max(initial=0.0) <= 1e-9


def test_only_the_winners_list_is_asked_whether_it_goes_on() -> None:
    """Three routes cost the calls for list or none, for the first route, and one for the end of the winner's list."""
    calls = []
    expansion = Expansion.start(
        CandidateTrie.of(
            [list_of((0,)), list_of((1,)), list_of((2,)), list_of()],
            [list_of((element,), (element,)) for element in range(3)],
        ),
        vocab_size=VOCABULARY,
    )
    while expansion.paths:
        calls.append(expansion.paths)
        row = np.zeros(VOCABULARY, dtype=np.float32)
        row[[1, OPEN]], row[COMMA] = 3.0, math.log(3)
        expansion = expansion.advance([row] * len(expansion.paths))

    assert [((),), ((OPEN,),), ((OPEN, 1),)] == calls
    assert pytest.approx(0.75) == expansion.longer_list_mass


def test_the_end_of_the_winners_list_costs_no_call_where_it_is_asked_anyway() -> None:
    """An id that begins another parts from it where its list ends or goes on."""
    row = np.zeros(VOCABULARY, dtype=np.float32)
    row[[OPEN, CLOSE]] = 5.0

    expansion = run([list_of((0,)), list_of((0, 1)), list_of()], lambda _: row, longer=[list_of((0,), (0,))])

    assert 2 == expansion.call_count
    assert pytest.approx(1 / (1 + math.exp(5))) == expansion.longer_list_mass


def test_an_empty_list_has_no_end_to_ask_for() -> None:
    """Where no route fits, one call says so."""
    row = np.zeros(VOCABULARY, dtype=np.float32)
    row[EMPTY] = 20.0

    expansion = run_lists([(0,), (1,)], lambda _: row)

    assert (1, 0.0) == (expansion.call_count, expansion.longer_list_mass)
