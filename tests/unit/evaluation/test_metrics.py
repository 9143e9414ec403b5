"""Accuracy by turn, span and conversation, against examples counted by hand and against properties."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.scored_turns import scored

from archrouter.evaluation.metrics import accuracy, measure
from archrouter.evaluation.turns import Scenario, ScoredTurn, Share, spans


def test_shares_of_one_conversation_counted_by_hand() -> None:
    """Expected aabba has the spans aa, bb and a; one wrong b spoils its span and the conversation."""
    figures = accuracy(scored("aabba", "aabaa"))

    assert Share(4, 5) == figures.turn
    assert Share(2, 3) == figures.span
    assert Share(0, 1) == figures.conversation


def test_runs_of_other_are_spans() -> None:
    """A run of ``other`` is a span like any route's."""
    figures = accuracy(scored("aoob", "aooo"))

    assert Share(2, 3) == figures.span


def test_spans_end_with_their_conversation() -> None:
    """Two conversations that end and begin with the same route have a span each."""
    figures = accuracy([*scored("aa", "aa"), *scored("aa", "ba", conversation_id="c2")])

    assert Share(1, 2) == figures.span
    assert Share(1, 2) == figures.conversation


def test_unlabelled_turns_break_no_span() -> None:
    """Labelled turns with a gap between them still form one span: message indices do not matter."""
    near, far = scored("aa", "aa")

    assert [2] == [len(span) for span in spans([near, replace(far, turn=8)])]


def test_failed_call_counts_as_wrong() -> None:
    """An answer that never came is not right, not even where ``other`` was expected."""
    figures = accuracy(scored("ao", "--"))

    assert Share(0, 2) == figures.turn


def test_scenarios_keep_the_spans_of_the_whole_conversation() -> None:
    """A span of ``other`` separates two runs of a route, although it belongs to another scenario."""
    figures = measure(scored("aoa", "aob")).scenarios

    assert Share(1, 2) == figures[Scenario.FINE_QUERY_FINE_ANSWER].span
    assert Share(1, 1) == figures[Scenario.IRRELEVANCE].span


def test_scenarios_are_pooled_and_averaged_over_settings() -> None:
    """The scenario's share pools all turns; its macro share is the mean over the settings that have it."""
    turns = [
        *scored("aaaa", "aaaa", setting="large"),
        *scored("b", "a", conversation_id="c2", setting="small"),
        *scored("a", "a", conversation_id="c3", setting="coarse", coarse=True),
    ]

    figures = measure(turns).scenarios

    assert Share(4, 5) == figures[Scenario.FINE_QUERY_FINE_ANSWER].turn
    assert 0.5 == figures[Scenario.FINE_QUERY_FINE_ANSWER].macro_turn
    assert Share(1, 1) == figures[Scenario.FINE_QUERY_COARSE_ANSWER].turn
    assert Scenario.IRRELEVANCE not in figures


def test_totals_pool_turns_and_average_settings() -> None:
    """Micro counts every turn alike, macro every setting; spans and conversations come from multi-turn settings."""
    turns = [
        *scored("aab", "aaa", setting="multi"),
        *scored("a", "a", conversation_id="c2", setting="single"),
        *scored("a", "b", conversation_id="c3", setting="single"),
    ]

    figures = measure(turns)

    assert Share(3, 5) == figures.micro.turn
    assert Share(1, 2) == figures.micro.span
    assert Share(0, 1) == figures.micro.conversation
    assert pytest.approx((2 / 3 + 1 / 2) / 2) == figures.macro.turn
    assert 0.5 == figures.macro.span
    assert 0.0 == figures.macro.conversation


def test_totals_without_multi_turn_settings_have_no_spans() -> None:
    """Where every conversation has one labelled turn, span and conversation would only repeat the turns."""
    figures = measure(scored("a", "a"))

    assert not figures.micro.is_multi_turn
    assert figures.micro.span_interval is None
    assert Share(0, 0) == figures.micro.span
    assert figures.macro.span is None
    assert figures.macro.conversation is None


def test_interval_is_wide_where_conversations_differ_and_closed_where_all_are_right() -> None:
    """Turns of one conversation stand or fall together, so two conversations tell little however long they are."""
    mixed = accuracy([*scored("a" * 50, "a" * 50), *scored("a" * 50, "b" * 50, conversation_id="c2")])
    perfect = accuracy(scored("ab", "ab"))

    assert (0.0, 1.0) == mixed.turn_interval == mixed.conversation_interval
    assert (1.0, 1.0) == perfect.turn_interval == perfect.span_interval


def test_interval_of_a_coin_is_that_of_the_binomial() -> None:
    """Of 100 one-turn conversations of which half are right, the 95 % interval is about 50 ± 9.8 %."""
    turns = [turn for number in range(100) for turn in scored("a", "ab"[number % 2], conversation_id=f"c{number}")]

    interval = accuracy(turns).turn_interval

    assert interval is not None
    assert pytest.approx((0.402, 0.598), abs=0.011) == interval


def test_nothing_has_no_interval() -> None:
    """A group without turns has empty shares and no interval."""
    figures = accuracy([])

    assert (Share(0, 0), None) == (figures.turn, figures.turn_interval)


_CONVERSATIONS = st.lists(
    st.lists(st.tuples(st.sampled_from("abo"), st.sampled_from("abo-")), min_size=1, max_size=8), min_size=1, max_size=6
)


def _scored(conversations: list[list[tuple[str, str]]]) -> list[list[ScoredTurn]]:
    return [
        scored("".join(right for right, _ in turns), "".join(said for _, said in turns), conversation_id=f"c{number}")
        for number, turns in enumerate(conversations)
    ]


@given(_CONVERSATIONS)
def test_spans_partition_a_conversation_into_maximal_runs(conversations: list[list[tuple[str, str]]]) -> None:
    """Spans put together are the conversation, each has one route, and neighbours differ."""
    for turns in _scored(conversations):
        cut = list(spans(turns))

        assert turns == [turn for span in cut for turn in span]
        assert all(len({turn.expected for turn in span}) == 1 for span in cut)
        assert all(left[0].expected != right[0].expected for left, right in pairwise(cut))


@given(_CONVERSATIONS)
def test_shares_do_not_depend_on_the_order_of_conversations(conversations: list[list[tuple[str, str]]]) -> None:
    """Counting the conversations backwards gives the same three shares."""
    scored = _scored(conversations)

    forwards = accuracy([turn for turns in scored for turn in turns])
    backwards = accuracy([turn for turns in reversed(scored) for turn in turns])

    assert (forwards.turn, forwards.span, forwards.conversation) == (
        backwards.turn,
        backwards.span,
        backwards.conversation,
    )


@given(_CONVERSATIONS)
def test_shares_are_ordered_by_what_they_demand(conversations: list[list[tuple[str, str]]]) -> None:
    """Every right conversation has only right spans and every right span only right turns; nothing exceeds its total.

    The interval encloses no value outside [0, 1].
    """
    figures = accuracy([turn for turns in _scored(conversations) for turn in turns])

    assert figures.conversation.right <= figures.span.right <= figures.turn.right <= figures.turn.total
    assert figures.conversation.total <= figures.span.total <= figures.turn.total
    for interval in (figures.turn_interval, figures.span_interval, figures.conversation_interval):
        assert interval is not None
        assert 0.0 <= interval[0] <= interval[1] <= 1.0


@given(_CONVERSATIONS)
def test_perfect_predictions_give_perfect_shares(conversations: list[list[tuple[str, str]]]) -> None:
    """Predicting every label gives 1 for all three shares."""
    perfect = [[(right, right) for right, _ in turns] for turns in conversations]

    figures = accuracy([turn for turns in _scored(perfect) for turn in turns])

    assert (1.0, 1.0, 1.0) == (figures.turn.value, figures.span.value, figures.conversation.value)
