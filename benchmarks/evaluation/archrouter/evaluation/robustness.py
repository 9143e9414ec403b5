"""What a variant of the dataset does to the decisions. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from archrouter.evaluation.significance import Paired, paired
from archrouter.evaluation.turns import ScoredTurn, conversations_of


@dataclass(frozen=True, slots=True)
class Robustness:
    """A variant beside the plain run, over the turns of the variant.

    Attributes:
        name: Of the variant.
        mean_route_count: Routes a turn chose from, in the mean.
        changed_count: Turns whose decision differs.
        decided_count: Turns with a decision in both runs.
        accuracy: Turns judged in the plain run (first) and in the variant (second); failed calls are wrong.
        failed_count: Calls of the variant that failed.
    """

    name: str
    mean_route_count: float
    changed_count: int
    decided_count: int
    accuracy: Paired
    failed_count: int

    @property
    def changed_share(self) -> float:
        """Share of the decisions that differ, in [0, 1]; 0 without any decision."""
        return self.changed_count / self.decided_count if self.decided_count else 0.0


def robustness(
    name: str, mean_route_count: float, plain: Sequence[ScoredTurn], varied: Sequence[ScoredTurn]
) -> Robustness:
    """Compare a variant with the plain run.

    Args:
        name: Of the variant.
        mean_route_count: Routes a turn chose from, in the mean.
        plain: The plain run; it has every turn of the variant.
        varied: The variant's run; the turns of a conversation follow each other.

    Returns:
        The comparison.
    """
    plain_turns = {(turn.conversation_id, turn.turn): turn for turn in plain}
    pairs = [
        [(plain_turns[turn.conversation_id, turn.turn], turn) for turn in conversation]
        for conversation in conversations_of(varied)
    ]
    decided = [
        before.predicted != after.predicted
        for conversation in pairs
        for before, after in conversation
        if before.predicted is not None and after.predicted is not None
    ]
    return Robustness(
        name=name,
        mean_route_count=mean_route_count,
        changed_count=sum(decided),
        decided_count=len(decided),
        accuracy=paired([[(before.is_right, after.is_right) for before, after in one] for one in pairs]),
        failed_count=sum(turn.predicted is None for turn in varied),
    )
