"""The trie over the candidates' answers."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrouter.domain.trie import Branch, CandidateTrie, Child

END = 9
BODIES = st.lists(st.lists(st.integers(0, 3), max_size=6).map(tuple), min_size=1, max_size=40, unique=True)
SEQUENCES = BODIES.map(lambda bodies: [(*body, END) for body in bodies])


def test_common_run_is_forced_and_single_paths_are_compressed() -> None:
    """Three answers, two of which part later: one branch each, with the tokens up to it as its path."""
    trie = CandidateTrie.of([(7, 8, 1, 2, 3, END), (7, 8, 1, 2, 4, END), (7, 8, 0, END)])

    assert (7, 8) == trie.forced
    assert (
        Branch(path=(7, 8), children=(Child(0, (2,), None), Child(1, (0, 1), 1))),
        Branch(path=(7, 8, 1, 2), children=(Child(3, (0,), None), Child(4, (1,), None))),
    ) == trie.branches
    assert trie.max_path_token_count == 4


def test_one_candidate_needs_no_branch() -> None:
    """Where there is no choice there is nothing to ask."""
    trie = CandidateTrie.of([(1, 2, END)])

    assert ((), (), 0, 1) == (trie.branches, trie.forced, trie.max_path_token_count, trie.candidate_count)


@pytest.mark.parametrize(
    ("sequences", "problem"),
    [
        ([], "no candidate"),
        ([(1, 2), (3,), (1, 2)], "candidate 0 equals or begins candidate 2"),
        ([(1, 2, 3), (1, 2)], "candidate 1 equals or begins candidate 0"),
        ([(1,), (1, 0), (1, 2)], "candidate 0 equals or begins candidate 1"),
        ([(), (1,)], "candidate 0 equals or begins candidate 1"),
    ],
)
def test_candidates_that_cannot_be_told_apart_are_refused(sequences: list[tuple[int, ...]], problem: str) -> None:
    """Equal sequences and beginnings of others have no place where they part."""
    with pytest.raises(ValueError, match=problem):
        CandidateTrie.of(sequences)


@given(SEQUENCES)
def test_every_candidate_is_reached_by_exactly_its_own_tokens(sequences: list[tuple[int, ...]]) -> None:
    """Walking the branches by a candidate's tokens ends at that candidate alone."""
    trie = CandidateTrie.of(sequences)

    for candidate, sequence in enumerate(sequences):
        branch, below = (0 if trie.branches else None), tuple(range(len(sequences)))
        while branch is not None:
            node = trie.branches[branch]
            assert node.path == sequence[: len(node.path)]
            child = next(child for child in node.children if child.token == sequence[len(node.path)])
            branch, below = child.branch, child.answers
        assert (candidate,) == below


@given(SEQUENCES)
def test_structure_is_minimal_and_breadth_first(sequences: list[tuple[int, ...]]) -> None:
    """Each branch splits its candidates among two children or more, by ascending token, each branch listed once."""
    trie = CandidateTrie.of(sequences)

    linked = [child.branch for branch in trie.branches for child in branch.children if child.branch is not None]
    assert list(range(1, len(trie.branches))) == linked
    assert len(trie.branches) <= len(sequences) - 1
    for branch in trie.branches:
        tokens = [child.token for child in branch.children]
        assert len(tokens) >= 2
        assert sorted(set(tokens)) == tokens
        for child in branch.children:
            assert (child.branch is None) == (len(child.answers) == 1)
            below = trie.branches[child.branch].children if child.branch is not None else ()
            assert not below or child.answers == tuple(sorted(c for grand in below for c in grand.answers))


@given(SEQUENCES, st.randoms(use_true_random=False))
def test_structure_is_independent_of_the_order_of_candidates(
    sequences: list[tuple[int, ...]], random_source: random.Random
) -> None:
    """Another order renames the candidates and changes nothing else."""
    order = list(range(len(sequences)))
    random_source.shuffle(order)
    trie, shuffled = CandidateTrie.of(sequences), CandidateTrie.of([sequences[index] for index in order])

    renamed = tuple(
        Branch(
            branch.path,
            tuple(Child(c.token, tuple(sorted(order[i] for i in c.answers)), c.branch) for c in branch.children),
        )
        for branch in shuffled.branches
    )

    assert trie.branches == renamed


def test_long_chain_of_nested_ids_is_built_without_recursion() -> None:
    """Ids that each begin the next, 2,000 deep, stay within Python's recursion limit."""
    trie = CandidateTrie.of([(*([1] * length), END) for length in range(2_000)])

    assert len(trie.branches) == 1_999
    assert trie.max_path_token_count == 1_998
