"""The paper's averages, against the paper's own tables."""

import numpy as np
import pytest
from tests.support.scored_turns import scored

from archrouter.evaluation.paper import Column, averages, paper_averages
from archrouter.evaluation.turns import Scenario, Share

_FINE, _COARSE, _NONE = (scenario.value for scenario in Scenario)

# Arch-Router's rows of tables 5 to 8 (arXiv 2506.16655v1), in percent.
ARCH_ROUTER = {
    Column("CLINC150", _FINE, "turn"): 97.20,
    Column("CLINC150", _COARSE, "turn"): 94.10,
    Column("CLINC150", _NONE, "turn"): 95.20,
    Column("MANtIS", _COARSE, "turn"): 90.10,
    Column("SGD", _FINE, "turn"): 99.20,
    Column("SGD", _FINE, "span"): 97.00,
    Column("SGD", _FINE, "conversation"): 94.60,
    Column("SGD", _COARSE, "turn"): 96.26,
    Column("SGD", _COARSE, "span"): 91.68,
    Column("SGD", _COARSE, "conversation"): 90.05,
    Column("SGD", _NONE, "turn"): 95.40,
    Column("SGD", _NONE, "span"): 95.20,
    Column("LMSYS-1M", _FINE, "turn"): 97.93,
    Column("LMSYS-1M", _FINE, "span"): 96.83,
    Column("LMSYS-1M", _FINE, "conversation"): 86.99,
    Column("LMSYS-1M", _COARSE, "turn"): 93.79,
    Column("LMSYS-1M", _COARSE, "span"): 90.63,
    Column("LMSYS-1M", _COARSE, "conversation"): 82.29,
    Column("LMSYS-1M", _NONE, "turn"): 98.87,
    Column("LMSYS-1M", _NONE, "span"): 98.54,
}


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        (_FINE, 98.11),
        (_COARSE, 93.56),
        (_NONE, 96.49),
        ("turn", 96.05),
        ("span", 94.98),
        ("conversation", 88.48),
        ("overall", 93.17),
    ],
)
def test_averages_give_tables_1_and_2_from_tables_5_to_8(name: str, printed: float) -> None:
    """Applied to the paper's columns, the rule gives the paper's averages to the last printed digit."""
    means = averages(list(ARCH_ROUTER), np.array([list(ARCH_ROUTER.values())]))

    assert pytest.approx(printed, abs=0.0051) == means[name][0]


def test_sources_count_alike_whatever_their_size() -> None:
    """A source of one turn weighs as much as one of four."""
    turns = [
        *scored("aaaa", "aaaa", source="large"),
        *scored("a", "b", conversation_id="c2", source="small"),
    ]

    assert 0.5 == paper_averages(turns).scenarios[Scenario.FINE_QUERY_FINE_ANSWER].value


def test_averages_counted_by_hand() -> None:
    """One source, a fine and a coarse conversation: each column is as counted, each mean over its columns."""
    turns = [
        *scored("aao", "aab", conversation_id="fine", setting="fine"),
        *scored("ab", "ab", conversation_id="coarse", setting="coarse", coarse=True),
    ]

    figures = paper_averages(turns)

    assert {
        Column("src", "fQfA", "turn"): Share(2, 2),
        Column("src", "fQfA", "span"): Share(1, 1),
        Column("src", "fQfA", "conversation"): Share(0, 1),
        Column("src", "Irrelevance", "turn"): Share(0, 1),
        Column("src", "Irrelevance", "span"): Share(0, 1),
        Column("src", "fQcA", "turn"): Share(2, 2),
        Column("src", "fQcA", "span"): Share(2, 2),
        Column("src", "fQcA", "conversation"): Share(1, 1),
    } == figures.columns
    assert figures.span is not None
    assert figures.conversation is not None
    assert figures.overall is not None
    assert pytest.approx(2 / 3) == figures.turn.value
    assert pytest.approx(2 / 3) == figures.span.value
    assert pytest.approx(1 / 2) == figures.conversation.value
    assert pytest.approx((2 / 3 + 2 / 3 + 1 / 2) / 3) == figures.overall.value


def test_single_turns_have_no_span_and_no_overall() -> None:
    """Where spans would only repeat the turns, neither they nor the mean of all three are given."""
    figures = paper_averages(scored("a", "a"))

    assert 1.0 == figures.turn.value
    assert (None, None, None) == (figures.span, figures.conversation, figures.overall)


def test_conversation_of_other_only_has_no_conversation_column() -> None:
    """As in the paper, conversations count for the scenarios with a route as the right answer."""
    figures = paper_averages(scored("oo", "oo"))

    assert figures.span is not None
    assert figures.conversation is None


def test_interval_encloses_the_mean() -> None:
    """The interval of a mean lies around it and inside [0, 1]."""
    turns = [turn for number in range(30) for turn in scored("ab", "a" + "ab"[number % 2], conversation_id=f"{number}")]

    overall = paper_averages(turns).overall

    assert overall is not None
    assert overall.interval is not None
    assert 0.0 <= overall.interval[0] < overall.value < overall.interval[1] <= 1.0
