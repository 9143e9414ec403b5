"""Scenarios and the grouping of turns."""

import pytest
from tests.support.scored_turns import make_route, scored

from archrouter.domain.policy import RoutePolicy
from archrouter.evaluation.dataset import Granularity
from archrouter.evaluation.turns import Scenario, by_setting, multi_turn, scenario_of


@pytest.mark.parametrize(
    ("granularity", "expected", "scenario"),
    [
        (Granularity.FINE, make_route("a"), Scenario.FINE_QUERY_FINE_ANSWER),
        (Granularity.FINE, make_route("a", ""), Scenario.FINE_QUERY_COARSE_ANSWER),
        (Granularity.FINE, None, Scenario.IRRELEVANCE),
        (Granularity.COARSE, make_route("a", ""), Scenario.FINE_QUERY_COARSE_ANSWER),
        (Granularity.COARSE, make_route("a"), Scenario.FINE_QUERY_COARSE_ANSWER),
        (Granularity.COARSE, None, Scenario.IRRELEVANCE),
    ],
)
def test_scenario_follows_granularity_and_label(
    granularity: Granularity, expected: RoutePolicy | None, scenario: Scenario
) -> None:
    """Labels map to the paper's scenarios; a domain's own route is a coarse answer in a fine set too."""
    assert scenario is scenario_of(granularity, expected)


def test_multi_turn_keeps_whole_settings() -> None:
    """A setting with one long conversation keeps its short ones too; a setting with short ones only is left out."""
    turns = [
        *scored("ab", "ab", setting="long"),
        *scored("a", "a", conversation_id="c2", setting="long"),
        *scored("a", "a", conversation_id="c3", setting="short"),
    ]

    assert ["c1", "c1", "c2"] == [turn.conversation_id for turn in multi_turn(turns)]


def test_settings_keep_the_order_of_their_turns() -> None:
    """Settings come in the order in which they first appear, with all their turns."""
    turns = [
        *scored("a", "a", setting="z"),
        *scored("a", "a", conversation_id="c2", setting="b"),
        *scored("b", "b", conversation_id="c3", setting="z"),
    ]

    assert [("z", 2), ("b", 1)] == [(setting, len(own)) for setting, own in by_setting(turns).items()]
