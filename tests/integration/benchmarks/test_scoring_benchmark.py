"""The scoring benchmark runs on a real Triton; here with the toy checkpoint, whose times mean nothing."""

from benchmarks.scoring.agreement import compare
from benchmarks.scoring.engine import running_engine
from benchmarks.scoring.report import outcomes_differ, summarise
from benchmarks.scoring.speed import CellBench, Method, Plan, Reuse, Way
from benchmarks.scoring.workload import read_topics

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.expansion import DEFAULT_EPSILON

TOPICS = read_topics()


async def test_every_method_is_timed_and_reuse_changes_no_decision(bundle: PromptBundle) -> None:
    """Reuse is what the engine says it is, and the posterior is the same to the last bit."""
    async with running_engine(bundle, policy_set_count=1) as engine:
        cell = await CellBench(engine, TOPICS, 5, 4).run(Plan(2, 60.0), lambda: None)
        comparisons = await compare(engine, TOPICS, 4, lambda: None, route_counts=(5,))

    cached = {summary.method: summary.median_cached_token_count for summary in summarise(cell)}
    assert {Method(way, reuse) for way in Way for reuse in Reuse} == set(cached)
    scored = [cached[Method(Way.SCORE, reuse)] for reuse in (Reuse.NONE, Reuse.POLICIES, Reuse.DIALOGUE)]
    assert 0 == scored[0] < scored[1] < scored[2]
    assert 0 == outcomes_differ(cell)
    assert all(each.scored == (each.greedy if each.greedy_is_best else each.best) for each in comparisons)
    assert DEFAULT_EPSILON > max(each.largest_difference for each in comparisons)
