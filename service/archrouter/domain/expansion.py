"""Asking the model as few questions as the posterior needs: a state machine without I/O.

It starts with an even belief over all candidates. Each answer, the raw next-token logits at one branch of the trie,
splits a mass among the branch's children; a child with several candidates and a mass above epsilon is asked next.
Everything not asked keeps its even share, so the posterior is whole at any time and asking may stop at any time.

The posterior of a candidate is the product, along its path, of the softmax over the branch's children: the model's
distribution over answers under the constraint that the answer is a candidate, as constrained decoding defines it.

Where answers are lists, a candidate's posterior is that of all lists it begins: where its answers part from each other
alone there is nothing to ask. Only of the winner it is asked, last, how much of its mass is on longer lists.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.errors import BackendProtocolError
from archrouter.domain.posterior import Posterior, log_softmax
from archrouter.domain.tokens import TokenIds
from archrouter.domain.trie import CandidateTrie, Child

DEFAULT_EPSILON = 1e-3
"""Mass at or below which a subtree is not asked: no probability in an answer is then off by more than this."""

_ROOT = 0


@dataclass(frozen=True, slots=True)
class _Question:
    """A branch to ask.

    Attributes:
        branch: Its index in the trie.
        log_mass: Natural log of the probability that the answer passes through it.
    """

    branch: int
    log_mass: float


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """What is known so far, and what to ask next.

    A finished expansion has made 1 call for the root and 1 for each other branch whose mass exceeds epsilon. The
    branches of one depth are disjoint, so these are fewer than 1 / epsilon a depth, and at most C - 1 in all. Where
    answers are lists, branches at which the answers of one candidate part are not asked, but for one: the winner's.

    Attributes:
        trie: The candidates.
        vocab_size: Fewest logits a row may have.
        epsilon: In [0, 1); 0 asks for everything that is possible at all.
        posterior: Over the C candidates. Inexact where a mass is shared evenly; each such value and the true one lie
            between 0 and that mass, so they differ by at most epsilon once `paths` is empty.
        on_trie_mass: Share in [0, 1] of the whole vocabulary's softmax that fell on the root's children; 1 before
            the root was asked.
        call_count: Rows taken in so far.
        longer_list_mass: Share in [0, 1] of the winner's mass that is on lists which go on after it; 0 where answers
            are no lists, and before `paths` is empty.
    """

    trie: CandidateTrie
    vocab_size: int
    epsilon: float
    posterior: Posterior
    on_trie_mass: float
    call_count: int
    longer_list_mass: float
    _questions: tuple[_Question, ...]
    _log_masses: NDArray[np.float64]
    _exact: NDArray[np.bool_]
    _endings: tuple[_Question, ...]  # branches at which the answers of one candidate part
    _winner: int | None  # None while candidates are still being told apart

    @classmethod
    def start(cls, trie: CandidateTrie, *, vocab_size: int, epsilon: float = DEFAULT_EPSILON) -> "Expansion":
        """Begin with the root's branch as the only question; with none when there is one candidate.

        Args:
            trie: The candidates.
            vocab_size: Ids of the tokenizer; a row of logits may be longer (padding), never shorter.
            epsilon: In [0, 1).

        Returns:
            The state before any call.

        Raises:
            ValueError: When epsilon is out of range.
        """
        if not 0 <= epsilon < 1:
            msg = f"epsilon is {epsilon}; choose a mass from 0 up to, not including, 1"
            raise ValueError(msg)
        count = trie.answer_count
        masses, exact = np.full(count, -math.log(count)), np.full(count, count == 1)
        questions = (_Question(_ROOT, 0.0),) if trie.branches else ()
        posterior = _posterior_of(trie, masses, exact)
        return cls(trie, vocab_size, epsilon, posterior, 1.0, 0, 0.0, questions, masses, exact, (), None)

    @property
    def paths(self) -> tuple[TokenIds, ...]:
        """What to append to the prompt for each call to make now, all at once; best first, empty when finished."""
        return tuple(self.trie.branches[question.branch].path for question in self._questions)

    def advance(self, rows: Sequence[NDArray[np.float32]]) -> "Expansion":
        """Take in the answers to all `paths`.

        Args:
            rows: One per path, in order: float32 [V], V >= vocab_size, raw next-token logits (natural log up to a
                constant) after prompt + path. ``-inf`` means impossible.

        Returns:
            The next state. O(C) a row, O(V) for checking it.

        Raises:
            BackendProtocolError: When rows are missing or left over, a row has a wrong shape, holds NaN or +inf, or
                calls every child impossible.
        """
        if len(rows) != len(self._questions):
            msg = f"{len(rows)} rows of logits answer {len(self._questions)} calls"
            raise BackendProtocolError(msg)
        log_epsilon = math.log(self.epsilon) if self.epsilon else -math.inf
        log_masses, exact = self._log_masses.copy(), self._exact.copy()
        questions: list[_Question] = []
        endings = list(self._endings)
        for question, row in zip(self._questions, rows, strict=True):
            for child, log_mass in self._split(question, row):
                below = list(child.answers)
                is_decided = len({self.trie.candidate(answer) for answer in below}) == 1
                log_masses[below] = log_mass - math.log(len(below))
                exact[below] = is_decided or log_mass == -math.inf
                if child.branch is not None and log_mass > (-math.inf if is_decided else log_epsilon):
                    (endings if is_decided else questions).append(_Question(child.branch, log_mass))
        asked_root = bool(rows) and self.call_count == 0
        posterior, winner = _posterior_of(self.trie, log_masses, exact), self._winner
        if winner is None and not questions:
            winner = int(posterior.log_probabilities.argmax())
            questions = [ending for ending in endings if self._is_of(ending, winner)]
        return replace(
            self,
            posterior=posterior,
            on_trie_mass=self._share_of_root(rows[0]) if asked_root else self.on_trie_mass,
            call_count=self.call_count + len(rows),
            longer_list_mass=0.0 if questions or winner is None else self._longer_share(winner, log_masses),
            _questions=tuple(sorted(questions, key=lambda question: (-question.log_mass, question.branch))),
            _log_masses=log_masses,
            _exact=exact,
            _endings=tuple(endings),
            _winner=winner,
        )

    def _longer_share(self, winner: int, log_masses: NDArray[np.float64]) -> float:
        """Return the share of the winner's mass that is on its longer list."""
        longer = self.trie.candidate_count + winner
        if longer >= self.trie.answer_count:
            return 0.0
        return min(math.exp(log_masses[longer] - np.logaddexp(log_masses[winner], log_masses[longer])), 1.0)

    def _is_of(self, question: _Question, candidate: int) -> bool:
        """Say whether all answers below a branch are the candidate's, for a branch where those of one part."""
        return self.trie.candidate(self.trie.branches[question.branch].children[0].answers[0]) == candidate

    def _split(self, question: _Question, row: NDArray[np.float32]) -> list[tuple[Child, float]]:
        """Split a branch's mass among its children."""
        self._check_row(row)
        children = self.trie.branches[question.branch].children
        logits = row[[child.token for child in children]].astype(np.float64)
        if logits.max() == -math.inf:
            msg = f"the model calls each of the {len(children)} tokens impossible with which a candidate can go on"
            raise BackendProtocolError(msg)
        log_masses = question.log_mass + log_softmax(logits)
        return list(zip(children, log_masses.tolist(), strict=True))

    def _check_row(self, row: NDArray[np.float32]) -> None:
        if row.ndim != 1 or row.size < self.vocab_size:
            msg = f"a row of logits has shape {list(row.shape)}; the tokenizer has {self.vocab_size} ids"
            raise BackendProtocolError(msg)
        peak = float(row.max())  # NaN anywhere in the row makes it NaN
        if math.isnan(peak) or peak == math.inf:
            msg = f"a row of logits holds {peak}; no decision can rest on it"
            raise BackendProtocolError(msg)

    def _share_of_root(self, row: NDArray[np.float32]) -> float:
        log_probabilities = log_softmax(row.astype(np.float64))
        tokens = [child.token for child in self.trie.branches[_ROOT].children]
        return min(float(np.exp(log_probabilities[tokens]).sum()), 1.0)


def _posterior_of(trie: CandidateTrie, log_masses: NDArray[np.float64], exact: NDArray[np.bool_]) -> Posterior:
    """Add up the masses of each candidate's answers."""
    count = trie.candidate_count
    log_probabilities, all_exact = log_masses[:count].copy(), exact[:count].copy()
    longer = slice(0, trie.answer_count - count)
    log_probabilities[longer] = np.logaddexp(log_probabilities[longer], log_masses[count:])
    all_exact[longer] &= exact[count:]
    return Posterior(log_probabilities, all_exact)
