"""How the scoring benchmark sums its samples up."""

from benchmarks.scoring.report import early_ends, outcomes_differ, summarise
from benchmarks.scoring.speed import Cell, Method, Reuse, Sample, Way


def sample(way: Way, reuse: Reuse, prompt: int, duration_s: float, outcome: tuple[float, ...] = (1.0, 2.0)) -> Sample:
    """Make a sample."""
    return Sample(Method(way, reuse), prompt, duration_s, 1, 64, outcome)


def cell(*samples: Sample) -> Cell:
    """Make a cell of two prompts whose answers have two tokens."""
    return Cell(15, 4, 600, (900, 910), (2, 2), 6, samples)


def test_a_ratio_is_the_median_over_prompts_that_both_ways_decided() -> None:
    """A prompt that one way skipped does not count."""
    measured = cell(
        sample(Way.GENERATE, Reuse.NONE, 0, 4.0),
        sample(Way.GENERATE, Reuse.NONE, 1, 9.0),
        sample(Way.GENERATE, Reuse.POLICIES, 0, 2.0),
        sample(Way.SCORE, Reuse.POLICIES, 0, 0.5),
        sample(Way.SCORE, Reuse.POLICIES, 1, 1.0),
    )

    scored = {summary.method: summary for summary in summarise(measured)}[Method(Way.SCORE, Reuse.POLICIES)]

    assert 4.0 == scored.over_same_reuse
    assert 8.5 == scored.over_no_reuse
    assert 2 == scored.sample_count


def test_a_decision_that_changes_with_the_reuse_is_counted() -> None:
    """By any bit of its posterior."""
    same = cell(sample(Way.SCORE, Reuse.NONE, 0, 1.0), sample(Way.SCORE, Reuse.POLICIES, 0, 1.0))
    other = cell(sample(Way.SCORE, Reuse.NONE, 0, 1.0), sample(Way.SCORE, Reuse.POLICIES, 0, 1.0, (1.0, 2.5)))

    assert [0, 1] == [outcomes_differ(same), outcomes_differ(other)]


def test_an_answer_that_ended_early_is_counted() -> None:
    """It cost less than a whole answer, which would favour generating."""
    measured = cell(
        sample(Way.GENERATE, Reuse.NONE, 0, 1.0, (5.0,)),
        sample(Way.GENERATE, Reuse.NONE, 1, 1.0),
        sample(Way.SCORE, Reuse.NONE, 1, 1.0, (0.0,)),
    )

    assert 1 == early_ends(measured)
