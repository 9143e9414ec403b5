"""Two runs side by side: over the same dataset, and a variant of it against the plain one. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from archrouter.evaluation.significance import Judged, Paired, holm, paired
from archrouter.evaluation.turns import ScoredTurn, all_right, conversations_of, multi_turn, spans


@dataclass(frozen=True, slots=True)
class ComparedGroup:
    """One line of a comparison.

    Attributes:
        name: What is compared: a unit, a scenario or a setting.
        paired: The counts.
        p_value: Of the exact McNemar test, in [0, 1]; for scenarios and settings adjusted by Holm's method for there
            being several of them.
    """

    name: str
    paired: Paired
    p_value: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs.

    Attributes:
        turn_count: Turns that are compared.
        only_first_count: Turns with a prediction in the first run only; they count as wrong in the second.
        only_second_count: The other way round.
        both_count: Turns with a prediction in both.
        changed_count: Turns of those whose decision differs.
        units: All turns; then spans and conversations of the settings with multi-turn conversations, if there are any.
        scenarios: Turns by scenario.
        settings: Turns by setting.
    """

    turn_count: int
    only_first_count: int
    only_second_count: int
    both_count: int
    changed_count: int
    units: tuple[ComparedGroup, ...]
    scenarios: tuple[ComparedGroup, ...]
    settings: tuple[ComparedGroup, ...]


Pair = tuple[ScoredTurn, ScoredTurn]


def compare(
    first: Sequence[ScoredTurn], second: Sequence[ScoredTurn], *, common_only: bool = False
) -> Comparison | None:
    """Compare two runs.

    Args:
        first: A run; the turns of a conversation follow each other.
        second: Another run: the same turns in the same order.
        common_only: Compare the turns with a prediction in both runs. Otherwise those with a prediction in either: what
            one run failed at is wrong there.

    Returns:
        The comparison; None when there is no turn to compare.
    """
    pairs = list(zip(first, second, strict=True))
    both = [pair for pair in pairs if all(turn.predicted is not None for turn in pair)]
    asked = both if common_only else [pair for pair in pairs if any(turn.predicted is not None for turn in pair)]
    if not asked:
        return None
    return Comparison(
        turn_count=len(asked),
        only_first_count=sum(other.predicted is None for _, other in asked),
        only_second_count=sum(one.predicted is None for one, _ in asked),
        both_count=len(both),
        changed_count=sum(one.predicted != other.predicted for one, other in both),
        units=_units(asked),
        scenarios=_groups(asked, lambda turn: turn.scenario.value),
        settings=_groups(asked, lambda turn: turn.setting),
    )


def _units(pairs: Sequence[Pair]) -> tuple[ComparedGroup, ...]:
    first, second = ([pair[run] for pair in pairs] for run in (0, 1))
    units = {"turn": _turns(pairs)}
    several = multi_turn(first), multi_turn(second)
    if several[0]:
        conversations = list(zip(conversations_of(several[0]), conversations_of(several[1]), strict=True))
        units["span"] = paired(
            [
                [(all_right(ours), all_right(theirs)) for ours, theirs in zip(spans(one), spans(other), strict=True)]
                for one, other in conversations
            ]
        )
        units["conversation"] = paired([[(all_right(one), all_right(other))] for one, other in conversations])
    return tuple(ComparedGroup(name, figures, figures.p_value) for name, figures in units.items())


def _groups(pairs: Sequence[Pair], name_of: Callable[[ScoredTurn], str]) -> tuple[ComparedGroup, ...]:
    grouped: dict[str, list[Pair]] = {}
    for pair in pairs:
        grouped.setdefault(name_of(pair[0]), []).append(pair)
    figures = [_turns(group) for group in grouped.values()]
    adjusted = holm([one.p_value for one in figures])
    return tuple(
        ComparedGroup(name, one, p_value) for name, one, p_value in zip(grouped, figures, adjusted, strict=True)
    )


def _turns(pairs: Iterable[Pair]) -> Paired:
    conversations: dict[str, list[Judged]] = {}
    for one, other in pairs:
        conversations.setdefault(one.conversation_id, []).append((one.is_right, other.is_right))
    return paired(conversations.values())


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
