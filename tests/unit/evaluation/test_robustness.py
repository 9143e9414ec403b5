"""A variant beside the plain run."""

from tests.support.scored_turns import scored

from archrouter.evaluation.comparison import robustness


def test_robustness_counted_by_hand() -> None:
    """Two of three decisions differ; a failed call is wrong, but no change of a decision."""
    plain = scored("abab", "abbb")
    varied = scored("abab", "aaa-")

    figures = robustness("typos", 7.0, plain, varied)

    assert (2, 3, 1) == (figures.changed_count, figures.decided_count, figures.failed_count)
    assert (2, 1) == (figures.accuracy.only_first_right, figures.accuracy.only_second_right)
    assert (0.75, 0.5, 4) == (figures.accuracy.first, figures.accuracy.second, figures.accuracy.count)
    assert 2 / 3 == figures.changed_share


def test_robustness_compares_the_turns_of_the_variant_only() -> None:
    """Turns that the variant leaves out count neither before nor after."""
    plain = scored("aob", "ooo")

    figures = robustness("distractors-5", 5.0, plain, [plain[0], plain[2]])

    assert (0, 2, 0.0) == (figures.changed_count, figures.decided_count, figures.accuracy.first)


def test_robustness_without_decisions_has_no_change() -> None:
    """Where every call failed, nothing is known to have changed."""
    assert 0.0 == robustness("typos", 2.0, scored("a", "-"), scored("a", "a")).changed_share
