"""Accuracy as the Arch-Router paper counts it (section 5.1), by turn, span and conversation; and latency. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from archrouter.evaluation.significance import Interval, interval, ratios, resampled_sums
from archrouter.evaluation.turns import (
    Scenario,
    ScoredTurn,
    Share,
    all_right,
    by_setting,
    conversations_of,
    multi_turn,
    share_of,
    spans,
)


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the calls took that gave a decision, in seconds; percentiles are interpolated linearly.

    Attributes:
        count: Calls, >= 1.
        mean_s: Mean.
        p50_s: Median.
        p95_s: 95th percentile.
        p99_s: 99th percentile.
        max_s: The slowest.
    """

    count: int
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float


def latency(durations_s: Sequence[float]) -> Latency | None:
    """Summarise durations in seconds >= 0; None when there are none."""
    if not durations_s:
        return None
    p50_s, p95_s, p99_s = np.percentile(np.array(durations_s), (50, 95, 99))
    return Latency(
        len(durations_s), fmean(durations_s), float(p50_s), float(p95_s), float(p99_s), float(max(durations_s))
    )


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The three shares of one group of conversations, with 95 % intervals by resampling conversations.

    Attributes:
        turn: Labelled turns whose predicted route equals the label.
        span: Spans that are right in every turn; a span is a maximal run of labelled turns with the same route.
        conversation: Conversations right in every labelled turn.
        turn_interval: Ends of the interval of the turn share; None where there is no turn. The others alike.
        span_interval: Of the span share.
        conversation_interval: Of the conversation share.
    """

    turn: Share
    span: Share
    conversation: Share
    turn_interval: Interval | None
    span_interval: Interval | None
    conversation_interval: Interval | None

    @property
    def is_multi_turn(self) -> bool:
        """Whether a conversation has several labelled turns; if none has, the three shares are one and the same."""
        return 0 < self.conversation.total < self.turn.total


@dataclass(frozen=True, slots=True)
class ScenarioAccuracy:
    """Shares of one scenario. A conversation may hold several scenarios, so it has no share here.

    Attributes:
        turn: Of the scenario's turns.
        span: Of the scenario's spans; the turns of a span share one scenario.
        turn_interval: Ends of the 95 % interval of the turn share.
        span_interval: Of the span share.
        macro_turn: Mean of the turn shares of the settings that have the scenario, in [0, 1].
    """

    turn: Share
    span: Share
    turn_interval: Interval | None
    span_interval: Interval | None
    macro_turn: float


@dataclass(frozen=True, slots=True)
class MacroAccuracy:
    """Means over settings, each in [0, 1]: every setting counts alike, whatever its size.

    Attributes:
        turn: Over all settings.
        span: Over the settings with multi-turn conversations; None when there is none.
        conversation: As `span`.
    """

    turn: float
    span: float | None
    conversation: float | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """All accuracy figures of one evaluation.

    Attributes:
        settings: By setting, in the order of the turns.
        scenarios: By scenario; those without a turn are left out.
        micro: All turns pooled. Its spans and conversations are those of settings with multi-turn conversations,
            since in the others they would only repeat the turns; their totals are 0 when there is none.
        macro: Means over the settings.
    """

    settings: Mapping[str, Accuracy]
    scenarios: Mapping[Scenario, ScenarioAccuracy]
    micro: Accuracy
    macro: MacroAccuracy


def measure(turns: Sequence[ScoredTurn]) -> Metrics:
    """Count everything.

    Args:
        turns: At least one; the turns of a conversation follow each other, in order.

    Returns:
        The figures. O(turns), and the resampling of the intervals.
    """
    settings = {setting: accuracy(of_setting) for setting, of_setting in by_setting(turns).items()}
    several = [figures for figures in settings.values() if figures.is_multi_turn]
    pooled, pooled_several = accuracy(turns), accuracy(multi_turn(turns))
    return Metrics(
        settings=settings,
        scenarios=_scenarios(turns),
        micro=Accuracy(
            turn=pooled.turn,
            span=pooled_several.span,
            conversation=pooled_several.conversation,
            turn_interval=pooled.turn_interval,
            span_interval=pooled_several.span_interval,
            conversation_interval=pooled_several.conversation_interval,
        ),
        macro=MacroAccuracy(
            turn=fmean(figures.turn.value for figures in settings.values()),
            span=fmean(figures.span.value for figures in several) if several else None,
            conversation=fmean(figures.conversation.value for figures in several) if several else None,
        ),
    )


def accuracy(turns: Sequence[ScoredTurn]) -> Accuracy:
    """Count one group of conversations; the turns of each follow each other, in order."""
    counts = []
    for conversation in conversations_of(turns):
        right_spans = [all_right(span) for span in spans(conversation)]
        right_turns = [turn.is_right for turn in conversation]
        counts.append([(sum(flags), len(flags)) for flags in (right_turns, right_spans, [all(right_turns)])])
    (turn, span, whole), (turn_interval, span_interval, whole_interval) = _shares(counts, 3)
    return Accuracy(turn, span, whole, turn_interval, span_interval, whole_interval)


def _scenarios(turns: Sequence[ScoredTurn]) -> dict[Scenario, ScenarioAccuracy]:
    figures = {}
    conversations = conversations_of(turns)
    for scenario in Scenario:
        # A span has one right route, hence one scenario: spans are cut before the scenarios are told apart, so that a
        # span of another scenario in between still separates two.
        own_spans = [
            own
            for conversation in conversations
            if (own := [span for span in spans(conversation) if span[0].scenario is scenario])
        ]
        counts = []
        for own in own_spans:
            right_turns = [turn.is_right for span in own for turn in span]
            right_spans = [all_right(span) for span in own]
            counts.append([(sum(flags), len(flags)) for flags in (right_turns, right_spans)])
        (turn, span), (turn_interval, span_interval) = _shares(counts, 2)
        if turn.total:
            own_turns = [turn for own in own_spans for span in own for turn in span]
            settings = by_setting(own_turns).values()
            macro = fmean(share_of(turn.is_right for turn in of_setting).value for of_setting in settings)
            figures[scenario] = ScenarioAccuracy(turn, span, turn_interval, span_interval, macro)
    return figures


def _shares(counts: list[list[tuple[int, int]]], units: int) -> tuple[list[Share], list[Interval | None]]:
    """Add up (right, total) of each unit over the conversations, and resample them for the intervals."""
    if not counts:
        return [Share(0, 0)] * units, [None] * units
    table = np.array(counts, dtype=np.int64)  # [conversations, units, 2]
    sums = resampled_sums(table.reshape(len(table), -1)).reshape(-1, units, 2)
    samples = ratios(sums[..., 0], sums[..., 1])
    shares = [Share(int(right), int(total)) for right, total in table.sum(axis=0)]
    return shares, [interval(samples[:, unit]) for unit in range(units)]
