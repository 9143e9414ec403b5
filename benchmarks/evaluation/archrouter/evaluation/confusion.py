"""Which routes are taken for each other. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from archrouter.domain.policy import NO_MATCH_ID
from archrouter.evaluation.turns import ScoredTurn

TOP_COUNT = 10
"""Pairs worth reading: what comes after them is rare, or noise."""


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """Two answers of one policy set that are taken for each other.

    Attributes:
        policy_set: Name of the policy set.
        first: Id of a route.
        second: Id of another route, or ``other``.
        first_as_second: Turns labelled `first` and predicted `second`.
        second_as_first: The other way round.
        turn_count: Turns labelled with one of the two.
    """

    policy_set: str
    first: str
    second: str
    first_as_second: int
    second_as_first: int
    turn_count: int

    @property
    def count(self) -> int:
        """How often one was taken for the other."""
        return self.first_as_second + self.second_as_first

    @property
    def finding(self) -> str:
        """What its author may want to know, as a sentence."""
        ways = ((self.first, self.second, self.first_as_second), (self.second, self.first, self.second_as_first))
        counts = ", ".join(
            f"{count} x {expected} predicted as {predicted}" for expected, predicted, count in ways if count
        )
        if self.second == NO_MATCH_ID:
            return f"the edge of {self.first} is unclear: {counts}"
        return f"these two policies overlap: {self.first} and {self.second}: {counts}"


def confused_pairs(turns: Sequence[ScoredTurn], top: int = TOP_COUNT) -> tuple[ConfusedPair, ...]:
    """Find the pairs that are confused most.

    Args:
        turns: Any turns; failed calls confuse nothing.
        top: How many pairs to return at most, >= 0.

    Returns:
        The most frequent first; of equally frequent ones those with the larger share of their turns, then by name.
    """
    labelled = Counter((turn.policy_set, turn.expected) for turn in turns)
    confusions = Counter(
        (turn.policy_set, turn.expected, turn.predicted)
        for turn in turns
        if turn.predicted is not None and not turn.is_right
    )
    pairs = []
    for policy_set, first, second in {(name, *_ordered(right, said)) for name, right, said in confusions}:
        pairs.append(
            ConfusedPair(
                policy_set,
                first,
                second,
                confusions[policy_set, first, second],
                confusions[policy_set, second, first],
                labelled[policy_set, first] + labelled[policy_set, second],
            )
        )
    pairs.sort(key=lambda pair: (-pair.count, pair.turn_count, pair.policy_set, pair.first, pair.second))
    return tuple(pairs[:top])


def _ordered(one: str, another: str) -> tuple[str, str]:
    """Order a pair by name, with ``other`` at the end: then both directions are the same pair."""
    first, second = sorted((one, another), key=lambda route: (route == NO_MATCH_ID, route))
    return first, second
