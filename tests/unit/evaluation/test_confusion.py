"""Confused routes, counted by hand."""

from tests.support.scored_turns import scored

from archrouter.evaluation.confusion import ConfusedPair, confused_pairs


def test_both_directions_are_one_pair() -> None:
    """Two a predicted as b and one b as a make one pair of three, out of the five turns labelled a or b."""
    turns = scored("aaabb", "bbaab")

    (pair,) = confused_pairs(turns)

    assert ConfusedPair("set", "a", "b", first_as_second=2, second_as_first=1, turn_count=5) == pair
    assert 3 == pair.count
    assert "these two policies overlap: a and b: 2 x a predicted as b, 1 x b predicted as a" == pair.finding


def test_no_match_is_the_edge_of_a_route() -> None:
    """A pair with ``other`` says how wide a route is; ``other`` comes second whatever the route's name."""
    (pair,) = confused_pairs(scored("zo", "oz"))

    assert ("z", "other") == (pair.first, pair.second)
    assert "the edge of z is unclear: 1 x z predicted as other, 1 x other predicted as z" == pair.finding


def test_policy_sets_are_kept_apart() -> None:
    """The same two names in two policy sets are two pairs: each author can only change their own."""
    turns = [*scored("a", "b"), *scored("a", "b", conversation_id="c2", policy_set="tes")]

    assert ["set", "tes"] == [pair.policy_set for pair in confused_pairs(turns)]


def test_most_frequent_come_first_and_few_are_kept() -> None:
    """Frequent pairs first; of equally frequent ones the one that spoils more of its turns."""
    turns = scored("aaccddddee", "bbxxyydded")

    assert [("a", "b"), ("c", "x"), ("d", "y"), ("d", "e")] == [
        (pair.first, pair.second) for pair in confused_pairs(turns)
    ]
    assert 2 == len(confused_pairs(turns, top=2))


def test_right_turns_and_failed_calls_confuse_nothing() -> None:
    """Only a wrong decision takes one route for another."""
    assert () == confused_pairs(scored("aab", "a-b"))
