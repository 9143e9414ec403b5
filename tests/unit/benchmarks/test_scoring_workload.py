"""What the scoring benchmark draws."""

import pytest
from benchmarks.scoring.workload import ACTIONS_PER_DOMAIN, make_conversation, make_policy_set, read_topics

from archrouter.domain.conversation import Role
from archrouter.domain.policy import check_policy_set

TOPICS = read_topics()


@pytest.mark.parametrize("route_count", [1, 5, 15, 50, 150])
def test_a_policy_set_has_the_size_asked_for_and_no_faults(route_count: int) -> None:
    """Every size of the grid, with ids that differ."""
    policy_set = make_policy_set(TOPICS, route_count, seed=1)

    assert route_count == len({route.id for route in policy_set.routes})
    assert [] == [finding for finding in check_policy_set(policy_set) if finding.severity.name == "ERROR"]


def test_routes_share_beginnings_so_that_scoring_needs_more_than_one_call() -> None:
    """A set whose ids all differ in their first token would flatter scoring."""
    domains = [route.domain for route in make_policy_set(TOPICS, 15, seed=1).routes]

    assert {ACTIONS_PER_DOMAIN} == {domains.count(domain) for domain in domains}


@pytest.mark.parametrize("turn_count", [1, 4, 12])
def test_a_conversation_has_the_turns_asked_for_and_ends_with_the_user(turn_count: int) -> None:
    """User and assistant take turns."""
    roles = [message.role for message in make_conversation(TOPICS, turn_count, seed=1).messages]

    assert [Role.USER, Role.ASSISTANT] * (turn_count - 1) + [Role.USER] == roles


def test_the_same_seed_draws_the_same_and_another_seed_something_else() -> None:
    """Two runs of the benchmark time the same prompts."""
    assert make_policy_set(TOPICS, 15, seed=1) == make_policy_set(TOPICS, 15, seed=1)
    assert make_policy_set(TOPICS, 15, seed=1) != make_policy_set(TOPICS, 15, seed=2)
    assert make_conversation(TOPICS, 4, seed=1) == make_conversation(TOPICS, 4, seed=1)
    assert make_conversation(TOPICS, 4, seed=1) != make_conversation(TOPICS, 4, seed=2)
