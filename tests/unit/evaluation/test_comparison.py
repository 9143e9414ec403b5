"""Two runs side by side."""

from tests.support.scored_turns import scored

from archrouter.evaluation.comparison import compare
from archrouter.evaluation.turns import ScoredTurn


def _run(*predicted: str) -> list[ScoredTurn]:
    """Predict for two conversations of several turns and one of a single turn."""
    talk, walk, short = predicted
    return [
        *scored("aab", talk, conversation_id="talk", setting="long"),
        *scored("ao", walk, conversation_id="walk", setting="long"),
        *scored("a", short, conversation_id="short", setting="short"),
    ]


def test_comparison_counted_by_hand() -> None:
    """The second run mends the span aa of one conversation and spoils the turn b; the other is right in both."""
    comparison = compare(_run("abb", "ao", "b"), _run("aaa", "ao", "b"))

    assert comparison is not None
    assert [("turn", 6, 1, 1), ("span", 4, 1, 1), ("conversation", 2, 0, 0)] == [
        (group.name, group.paired.count, group.paired.only_first_right, group.paired.only_second_right)
        for group in comparison.units
    ]
    assert [("fQfA", 5), ("Irrelevance", 1)] == [(group.name, group.paired.count) for group in comparison.scenarios]
    assert [("long", 0.8, 0.8), ("short", 0.0, 0.0)] == [
        (group.name, group.paired.first, group.paired.second) for group in comparison.settings
    ]
    assert (6, 6, 2) == (comparison.turn_count, comparison.both_count, comparison.changed_count)


def test_turns_of_one_run_only_are_wrong_in_the_other() -> None:
    """What one run failed at counts; what neither run was asked does not."""
    comparison = compare(_run("aab", "--", "-"), _run("aa-", "--", "a"))

    assert comparison is not None
    assert (4, 1, 1) == (comparison.turn_count, comparison.only_first_count, comparison.only_second_count)
    assert (1, 1) == (comparison.units[0].paired.only_first_right, comparison.units[0].paired.only_second_right)
    assert 0 == comparison.changed_count


def test_common_turns_only_leaves_the_others_out() -> None:
    """Of runs over different parts of a dataset, the turns that both have can be compared alone."""
    comparison = compare(_run("aab", "--", "-"), _run("aa-", "--", "a"), common_only=True)

    assert comparison is not None
    assert (2, 0, 0) == (comparison.turn_count, comparison.only_first_count, comparison.only_second_count)
    assert 0.0 == comparison.units[0].paired.difference


def test_runs_without_predictions_are_no_comparison() -> None:
    """Two empty runs are not equally good, they are nothing."""
    assert compare(_run("---", "--", "-"), _run("---", "--", "-")) is None


def test_single_turns_have_no_spans_to_compare() -> None:
    """Where spans would only repeat the turns, they are left out."""
    comparison = compare(scored("a", "a"), scored("a", "b"))

    assert comparison is not None
    assert ["turn"] == [group.name for group in comparison.units]


def test_settings_are_adjusted_for_their_number() -> None:
    """Six right against none is p = 1/32; as one of two settings it counts twice."""
    first = [*scored("a" * 6, "a" * 6, setting="x"), *scored("a", "a", conversation_id="c2", setting="y")]
    second = [*scored("a" * 6, "b" * 6, setting="x"), *scored("a", "a", conversation_id="c2", setting="y")]

    comparison = compare(first, second)

    assert comparison is not None
    assert [("x", 2 / 32), ("y", 1.0)] == [(group.name, group.p_value) for group in comparison.settings]
