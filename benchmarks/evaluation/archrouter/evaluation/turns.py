"""Labelled turns side by side with what was predicted for them, and how they group into spans and conversations. Pure.

A call that failed has no prediction and counts as wrong: an answer that never came is no right answer.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from archrouter.domain.policy import RoutePolicy
from archrouter.evaluation.dataset import Dataset, Granularity, Label, LabelledConversation


class Scenario(Enum):
    """What a right answer asks of the router (paper, section 5.1)."""

    FINE_QUERY_FINE_ANSWER = "fQfA"
    FINE_QUERY_COARSE_ANSWER = "fQcA"
    IRRELEVANCE = "Irrelevance"


def scenario_of(granularity: Granularity, expected: RoutePolicy | None) -> Scenario:
    """Say which scenario a right route belongs to; None is no match.

    A domain's own route is the right answer where no action of the domain fits, which is what the paper calls a coarse
    answer; in a conversation that is labelled by domains all answers are coarse.
    """
    if expected is None:
        return Scenario.IRRELEVANCE
    if granularity is Granularity.COARSE or expected.covers_domain:
        return Scenario.FINE_QUERY_COARSE_ANSWER
    return Scenario.FINE_QUERY_FINE_ANSWER


@dataclass(frozen=True, slots=True)
class ScoredTurn:
    """One labelled turn and what was predicted for it.

    Attributes:
        conversation_id: Its conversation.
        setting: Its setting.
        source: Where its conversation comes from.
        policy_set: Name of the policy set it is routed by.
        scenario: Its scenario.
        turn: 0-based index of the message.
        expected: Id of the right route, or ``other``.
        predicted: Id of the predicted route, or ``other``; None when the call failed.
        confidence: Confidence of the prediction, in [0, 1]; None when the call failed.
    """

    conversation_id: str
    setting: str
    source: str
    policy_set: str
    scenario: Scenario
    turn: int
    expected: str
    predicted: str | None
    confidence: float | None

    @property
    def is_right(self) -> bool:
        """Whether the prediction equals the label."""
        return self.predicted == self.expected


def scored_turn(
    dataset: Dataset,
    conversation: LabelledConversation,
    label: Label,
    predicted: str | None,
    confidence: float | None,
) -> ScoredTurn:
    """Put a label and a prediction side by side.

    Args:
        dataset: Holds the conversation's policy set.
        conversation: The conversation.
        label: One of its labels.
        predicted: Id of the predicted route, or ``other``; None when the call failed.
        confidence: Confidence of the prediction, in [0, 1]; None when the call failed.

    Returns:
        The scored turn.
    """
    expected = dataset.policy_sets[conversation.policy_set].route(label.route)
    return ScoredTurn(
        conversation_id=conversation.id,
        setting=conversation.setting,
        source=conversation.source,
        policy_set=conversation.policy_set,
        scenario=scenario_of(conversation.granularity, expected),
        turn=label.turn,
        expected=label.route,
        predicted=predicted,
        confidence=confidence,
    )


@dataclass(frozen=True, slots=True)
class Share:
    """A share of things that are right.

    Attributes:
        right: How many are, >= 0.
        total: How many there are, >= `right`.
    """

    right: int
    total: int

    @property
    def value(self) -> float:
        """The share in [0, 1]; 0 when there is nothing."""
        return self.right / self.total if self.total else 0.0


def share_of(flags: Iterable[bool]) -> Share:
    """Count what is right."""
    counted = list(flags)
    return Share(sum(counted), len(counted))


def all_right(turns: Iterable[ScoredTurn]) -> bool:
    """Say whether every turn is right."""
    return all(turn.is_right for turn in turns)


def conversations_of(turns: Sequence[ScoredTurn]) -> list[list[ScoredTurn]]:
    """Group turns by conversation; those of each follow each other, in order."""
    return [list(group) for _, group in groupby(turns, key=lambda turn: turn.conversation_id)]


def by_setting(turns: Sequence[ScoredTurn]) -> dict[str, list[ScoredTurn]]:
    """Group turns by setting, both in their order."""
    grouped: dict[str, list[ScoredTurn]] = {}
    for turn in turns:
        grouped.setdefault(turn.setting, []).append(turn)
    return grouped


def multi_turn(turns: Sequence[ScoredTurn]) -> list[ScoredTurn]:
    """Keep the settings in which a conversation has several labelled turns, which follow each other.

    In the others spans and conversations would only repeat the turns.
    """
    kept = {
        setting
        for setting, of_setting in by_setting(turns).items()
        if len({turn.conversation_id for turn in of_setting}) < len(of_setting)
    }
    return [turn for turn in turns if turn.setting in kept]


def spans(conversation: Sequence[ScoredTurn]) -> Iterator[list[ScoredTurn]]:
    """Cut a conversation into its spans: maximal runs of labelled turns with the same right route, ``other`` included.

    Unlabelled turns are not among the turns, so they break no span.
    """
    for _, run in groupby(conversation, key=lambda turn: turn.expected):
        yield list(run)
