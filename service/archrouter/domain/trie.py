"""The candidates' answers as a trie over token ids, in which only the places where they part are kept.

The tokens that all candidates share (``{"route": "``) are forced: they are appended to the prompt and cost nothing.
Everywhere else a run without a choice is compressed into the path to the next branch. C candidates have at most C - 1
branches, whatever their length.

Where an answer is a list, a candidate is its first element, and two answers belong to it: the list that ends there,
and the longer one, which stands for all lists that go on. The trie is over answers; candidates share them.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from archrouter.domain.tokens import TokenIds


@dataclass(frozen=True, slots=True)
class Child:
    """One way to go on at a branch.

    Attributes:
        token: The next token's id.
        answers: Indices of the answers below, ascending, at least one.
        branch: Index of the branch where they part; None when there is one answer.
    """

    token: int
    answers: tuple[int, ...]
    branch: int | None


@dataclass(frozen=True, slots=True)
class Branch:
    """A place where candidates part.

    Attributes:
        path: Tokens between the end of the prompt and here, forced ones included.
        children: At least two, by ascending token.
    """

    path: TokenIds
    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class CandidateTrie:
    """All branches of the candidates' answers.

    Attributes:
        candidate_count: Number of candidates C, at least one.
        answer_count: Number of answers, >= C. The first C are the candidates', in order; answer C + i is the longer
            list of candidate i.
        branches: Breadth first, the root's at index 0; empty when there is one answer. Independent of the order of
            the candidates but for the indices in `Child.answers`.
    """

    candidate_count: int
    answer_count: int
    branches: tuple[Branch, ...]

    @property
    def forced(self) -> TokenIds:
        """Tokens that every answer begins with; empty when there is one candidate, which is never asked for."""
        return self.branches[0].path if self.branches else ()

    @property
    def max_path_token_count(self) -> int:
        """Tokens that the longest call appends to the prompt."""
        return max((len(branch.path) for branch in self.branches), default=0)

    def candidate(self, answer: int) -> int:
        """Name the candidate an answer belongs to."""
        return answer % self.candidate_count

    @classmethod
    def of(cls, sequences: Sequence[TokenIds], longer: Sequence[TokenIds] = ()) -> "CandidateTrie":
        """Build the trie.

        Args:
            sequences: Full answer of every candidate, end token included, in candidate order; none may be the
                beginning of another.
            longer: For each of the first candidates, a longer list that begins with it; none where answers are no
                lists.

        Returns:
            The trie. O(C log C + total tokens) for building, plus O(C x longest path) for the branches' own paths.

        Raises:
            ValueError: When there is no sequence, or one is equal to or the beginning of another.
        """
        count, sequences = len(sequences), (*sequences, *longer)
        order = sorted(range(len(sequences)), key=sequences.__getitem__)
        _check_prefix_free(sequences, order)
        if len(order) == 1:
            return cls(1, 1, ())
        branches: list[Branch] = []
        groups = deque([order])
        while groups:
            group = groups.popleft()
            depth = _common_length(sequences[group[0]], sequences[group[-1]])
            children = []
            for below in _split(sequences, group, depth):
                # The queue is first in, first out: a group's branch comes after those in the queue and this one.
                branch = len(branches) + len(groups) + 1 if len(below) > 1 else None
                children.append(Child(sequences[below[0]][depth], tuple(sorted(below)), branch))
                if branch is not None:
                    groups.append(below)
            branches.append(Branch(sequences[group[0]][:depth], tuple(children)))
        return cls(count, len(order), tuple(branches))


def _check_prefix_free(sequences: Sequence[TokenIds], order: Sequence[int]) -> None:
    """Check neighbours in sorted order: if any sequence begins another, one of its neighbours does."""
    if not order:
        msg = "no candidate; give at least one token sequence"
        raise ValueError(msg)
    for left, right in pairwise(order):
        if sequences[right][: len(sequences[left])] == sequences[left]:
            msg = f"candidate {left} equals or begins candidate {right}; close every answer with its end token"
            raise ValueError(msg)


def _split(sequences: Sequence[TokenIds], group: Sequence[int], depth: int) -> Iterator[list[int]]:
    """Split sorted candidates by their token at a depth, ascending."""
    for _, below in groupby(group, key=lambda index: sequences[index][depth]):
        yield list(below)


def _common_length(first: TokenIds, last: TokenIds) -> int:
    """Length of what the first and last of sorted sequences share, and so all between them."""
    return next(index for index, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
