"""Thresholds that keep a promised error, on synthetic models whose true error is known."""

import numpy as np
import pytest

from archrouter.domain.decision import DecisionRule
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.posterior import decide
from archrouter.workbench.promise import (
    LADDER,
    RIGHT,
    WRONG,
    Case,
    find_thresholds,
    is_right,
    judge,
    judge_ladder,
    least_case_count,
    rung_of,
    search_ladder,
)
from archrouter.workbench.statistics import binomial_tail, upper_bound, wilson_interval

MODELS = (ModelTarget("m"),)
ROUTES = tuple(RoutePolicy(f"route-{index}", "", "", f"subject {index}", MODELS) for index in range(5))
FLAT = PolicySet("flat", "", ROUTES, MODELS)
DOMAINS = PolicySet(
    "domains",
    "",
    (
        RoutePolicy("code", "code", "", "other code", MODELS),
        RoutePolicy("code_fix", "code", "fix", "broken code", MODELS),
        RoutePolicy("code_write", "code", "write", "new code", MODELS),
        RoutePolicy("money", "", "", "money", MODELS),
    ),
    MODELS,
)


def _cases(
    policy_set: PolicySet, count: int, generator: np.random.Generator, overconfidence: float = 1.0
) -> list[Case]:
    """Draw turns whose labels follow the model's probabilities, sharpened to what it claims of itself."""
    ids = [*(route.id for route in policy_set.routes), "other"]
    logits = generator.normal(0, 6.0, (count, len(ids)))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    claimed = np.exp(overconfidence * logits) / np.exp(overconfidence * logits).sum(axis=1, keepdims=True)
    labels = [ids[generator.choice(len(ids), p=row)] for row in truth]
    return [Case(row, label) for row, label in zip(claimed, labels, strict=True)]


@pytest.mark.parametrize(("policy_set", "overconfidence"), [(FLAT, 1.0), (DOMAINS, 1.6)])
def test_promise_holds_on_turns_that_were_not_seen(policy_set: PolicySet, overconfidence: float) -> None:
    """Over 50 random splits the error on the other half is within the promise in 90 % or more, and turns are routed."""
    generator = np.random.default_rng(20261129)
    verdicts = judge_ladder(policy_set, _cases(policy_set, 1600, generator, overconfidence))
    held, routed = 0, 0
    for _ in range(50):
        order = generator.permutation(verdicts.shape[1])
        kept = search_ladder(verdicts[:, order[:800]], 0.05, 0.1).kept
        assert kept is not None
        result = rung_of(kept.threshold, verdicts[LADDER.index(kept.threshold), order[800:]])
        held += result.error is None or result.error <= 0.05
        routed += result.coverage > 0.3

    assert 45 <= held
    assert 45 <= routed


def test_route_with_enough_cases_gets_a_threshold_of_its_own() -> None:
    """A route whose errors are frequent is held to more than the others, and each keeps the promise by itself."""
    sure, unsure = np.array([0.9, 0.02, 0.02, 0.02, 0.02, 0.02]), np.array([0.02, 0.9, 0.02, 0.02, 0.02, 0.02])
    surer = np.array([0.002, 0.99, 0.002, 0.002, 0.002, 0.002])
    cases = [Case(sure, "route-0")] * 300 + [Case(unsure, "route-2")] * 100 + [Case(surer, "route-1")] * 300
    cases += [Case(np.roll(sure, 2), "route-2")] * 150

    found = find_thresholds(FLAT, cases, 0.05, 0.9, 200)

    assert found.policy_set is not None
    assert found.total is not None
    thresholds = [route.min_confidence for route in found.policy_set.routes]
    assert (0.0, 0.92) == (thresholds[0], thresholds[1])
    assert (0, 750) == (found.total.error_count, found.total.routed_count)


def test_no_threshold_promises_more_than_the_cases_show() -> None:
    """One case fewer than it takes, all of them right, is no promise; that many are one."""
    least = least_case_count(0.02, 0.9)
    case = Case(np.array([0.995, 0.001, 0.001, 0.001, 0.001, 0.001]), "route-0")

    assert find_thresholds(FLAT, [case] * (least - 1), 0.02, 0.9).policy_set is None
    found = find_thresholds(FLAT, [case] * least, 0.02, 0.9).policy_set
    assert found is not None
    assert 0.0 == found.min_confidence


def test_back_off_to_the_domain_of_the_right_route_is_right() -> None:
    """What falls back within its domain is served by whom it was meant for; in another domain it is an error."""
    split = np.array([0.1, 0.4, 0.4, 0.05, 0.05])
    strict = PolicySet("domains", "", DOMAINS.routes, MODELS, 0.6)

    assert [RIGHT, WRONG] == judge(strict, [Case(split, "code_fix"), Case(split, "money")]).tolist()


def test_no_route_is_right_only_where_none_is_expected() -> None:
    """A turn without a route is judged too."""
    choice = decide(FLAT, np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.5]), DecisionRule())

    assert (True, False) == (is_right(choice, "other", FLAT), is_right(choice, "route-0", FLAT))


def test_intervals_match_published_values() -> None:
    """Wilson's and Clopper and Pearson's intervals agree with Newcombe 1998 (table I) and the rule of three."""
    lower, upper = wilson_interval(81, 263) or (0.0, 0.0)

    assert (0.2553, 0.3662) == (round(lower, 4), round(upper, 4))
    assert 0.0 == (wilson_interval(0, 20) or (1.0,))[0]
    assert None is wilson_interval(0, 0)
    assert 0.3662 + 0.0014 == pytest.approx(upper_bound(81, 263, 0.025), abs=5e-4)
    assert 1 - 0.05 ** (1 / 100) == pytest.approx(upper_bound(0, 100, 0.05))
    assert 1.0 == upper_bound(3, 3, 0.05)
    assert 1.0 == pytest.approx(binomial_tail(7, 7, 0.3))
