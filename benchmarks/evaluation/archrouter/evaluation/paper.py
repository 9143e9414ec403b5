"""Averages as in the Arch-Router paper, to stand beside its tables. Pure.

The paper does not write its rule down; that it is this one follows from its tables: tables 1 and 2 come out of tables
5 to 8 to the last digit for the paper's own model. Every source of conversations counts alike, whatever its size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from archrouter.evaluation.significance import Interval, interval, ratios, resampled_sums
from archrouter.evaluation.turns import (
    Scenario,
    ScoredTurn,
    Share,
    all_right,
    conversations_of,
    multi_turn,
    spans,
)


class Unit(Enum):
    """What is counted."""

    TURN = "turn"
    SPAN = "span"
    CONVERSATION = "conversation"


@dataclass(frozen=True, slots=True, order=True)
class Column:
    """One column of the paper's tables 5 to 8.

    Attributes:
        source: Where the conversations come from.
        scenario: Value of the `Scenario`.
        unit: Value of the `Unit`.
    """

    source: str
    scenario: str
    unit: str


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of columns.

    Attributes:
        value: In [0, 1].
        interval: Ends of its 95 % interval.
    """

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class PaperAverages:
    """The averages of the paper's tables 1 and 2.

    Attributes:
        columns: The shares they are means of.
        scenarios: Mean turn share of each scenario over the sources that have it.
        turn: Mean of the scenarios.
        span: Mean over sources and scenarios with multi-turn conversations; None when there is none.
        conversation: As `span`, for the scenarios with a route as the right answer.
        overall: Mean of turn, span and conversation; None when one of them is.
    """

    columns: Mapping[Column, Share]
    scenarios: Mapping[Scenario, Mean]
    turn: Mean
    span: Mean | None
    conversation: Mean | None
    overall: Mean | None


def paper_averages(turns: Sequence[ScoredTurn]) -> PaperAverages:
    """Average as the paper does.

    Spans and conversations are those of settings with multi-turn conversations. A conversation counts for each scenario
    its right routes belong to; one that should only be answered by ``other`` counts for none, as in the paper.

    Args:
        turns: At least one; the turns of a conversation follow each other, in order.

    Returns:
        The averages; their intervals resample conversations.
    """
    several = {turn.conversation_id for turn in multi_turn(turns)}
    counts = [_counts(conversation, several) for conversation in conversations_of(turns)]
    columns = sorted({column for counted in counts for column in counted})
    table = np.array([[counted.get(column, (0, 0)) for column in columns] for counted in counts], dtype=np.int64)
    sums = resampled_sums(table.reshape(len(table), -1)).reshape(-1, len(columns), 2)
    totals = table.sum(axis=0)
    values = averages(columns, ratios(totals[:, 0], totals[:, 1])[None])
    samples = averages(columns, ratios(sums[..., 0], sums[..., 1]))
    means = {name: Mean(float(value[0]), interval(samples[name])) for name, value in values.items()}
    return PaperAverages(
        columns={column: Share(int(right), int(total)) for column, (right, total) in zip(columns, totals, strict=True)},
        scenarios={scenario: means[scenario.value] for scenario in Scenario if scenario.value in means},
        turn=means[Unit.TURN.value],
        span=means.get(Unit.SPAN.value),
        conversation=means.get(Unit.CONVERSATION.value),
        overall=means.get(OVERALL),
    )


OVERALL = "overall"


def averages(columns: Sequence[Column], values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Apply the paper's rule.

    Args:
        columns: K columns.
        values: float64 [N, K], their shares; NaN where there is none.

    Returns:
        float64 [N] by the name of a scenario, of a unit, or ``overall``; names without any column are left out.
    """
    means = {}
    for scenario in Scenario:
        chosen = [_is(column, Unit.TURN, scenario) for column in columns]
        if any(chosen):
            means[scenario.value] = _mean(values[:, chosen])
    means[Unit.TURN.value] = _mean(np.stack(list(means.values()), axis=1))
    for unit in (Unit.SPAN, Unit.CONVERSATION):
        chosen = [_is(column, unit) for column in columns]
        if any(chosen):
            means[unit.value] = _mean(values[:, chosen])
    if all(unit.value in means for unit in Unit):
        means[OVERALL] = np.mean([means[unit.value] for unit in Unit], axis=0)
    return means


def _is(column: Column, unit: Unit, scenario: Scenario | None = None) -> bool:
    return column.unit == unit.value and (scenario is None or column.scenario == scenario.value)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    return np.divide(np.where(known, values, 0.0).sum(axis=1), count, out=np.full(len(values), np.nan), where=count > 0)


def _counts(conversation: Sequence[ScoredTurn], several: set[str]) -> dict[Column, tuple[int, int]]:
    source, counts = conversation[0].source, dict[Column, tuple[int, int]]()

    def count(scenario: Scenario, unit: Unit, *, is_right: bool) -> None:
        column = Column(source, scenario.value, unit.value)
        right, total = counts.get(column, (0, 0))
        counts[column] = (right + is_right, total + 1)

    for turn in conversation:
        count(turn.scenario, Unit.TURN, is_right=turn.is_right)
    if conversation[0].conversation_id in several:
        for span in spans(conversation):
            count(span[0].scenario, Unit.SPAN, is_right=all_right(span))
        for scenario in {turn.scenario for turn in conversation} - {Scenario.IRRELEVANCE}:
            count(scenario, Unit.CONVERSATION, is_right=all_right(conversation))
    return counts
