"""Thresholds, domain back-off and stickiness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrouter.domain.decision import Choice, DecisionReason, DecisionRule, Outcome, Stickiness, TurnKind
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.posterior import decide, threshold_of

MODELS = (ModelTarget("m"),)
OF_REQUEST, OF_SERVER = DecisionReason.THRESHOLD_OF_REQUEST, DecisionReason.THRESHOLD_OF_SERVER
MISSED = (DecisionReason.BELOW_THRESHOLD, OF_REQUEST)


def route(route_id: str, domain: str = "", action: str = "", min_confidence: float | None = None) -> RoutePolicy:
    """Build a route whose description does not matter."""
    return RoutePolicy(route_id, domain, action, "when it is meant", MODELS, min_confidence)


def policy_set(*routes: RoutePolicy, min_confidence: float | None = None) -> PolicySet:
    """Build a set of the given routes."""
    return PolicySet("s", "", routes, MODELS, min_confidence)


FIX = route("code_fix", "code", "fix")
WRITE = route("code_write", "code", "write")
CODE = route("code", "code")
TRAVEL = route("travel_plan", "travel", "plan")
CODE_SET = policy_set(FIX, WRITE, CODE, TRAVEL)


def chosen(probabilities: list[float], rule: DecisionRule, of: PolicySet = CODE_SET) -> Choice:
    """Decide over literal probabilities."""
    return decide(of, np.array(probabilities), rule)


def test_outcome_is_matched_when_the_leading_route_reaches_its_threshold() -> None:
    """The most probable route wins at or above the threshold."""
    result = chosen([0.5, 0.2, 0.1, 0.1, 0.1], DecisionRule(min_confidence=0.5))

    assert Choice(Outcome.MATCHED, FIX, 0.5, (DecisionReason.ROUTE_LEADS, OF_REQUEST)) == result


def test_outcome_is_domain_fallback_when_only_the_domain_reaches_its_threshold() -> None:
    """The mass of a domain's routes sums up behind its domain-level policy."""
    result = chosen([0.3, 0.25, 0.15, 0.1, 0.2], DecisionRule(min_confidence=0.6))

    assert Outcome.DOMAIN_FALLBACK is result.outcome
    assert CODE is result.route
    assert result.confidence == pytest.approx(0.7)
    assert (*MISSED, DecisionReason.DOMAIN_SUM, OF_REQUEST) == result.reasons


def test_domain_fallback_is_refused_when_no_match_outweighs_the_domain() -> None:
    """A domain that is less likely than no match is no fallback, however low its threshold."""
    result = chosen([0.2, 0.1, 0.05, 0.05, 0.6], DecisionRule(min_confidence=0.3))

    assert Choice(Outcome.NO_MATCH, None, 0.6, (DecisionReason.NO_MATCH_LEADS,)) == result


def test_domain_fallback_needs_a_domain_level_policy() -> None:
    """Without a domain-level policy the mass of a domain has nowhere to go."""
    result = chosen([0.45, 0.4, 0.15], DecisionRule(min_confidence=0.8), policy_set(FIX, WRITE))

    assert Choice(Outcome.LOW_CONFIDENCE, None, 0.45, MISSED) == result


def test_domain_fallback_takes_the_domain_with_the_largest_mass() -> None:
    """Of several domains that reach their thresholds the most probable wins."""
    trip = route("travel", "travel")
    result = chosen([0.2, 0.15, 0.3, 0.25, 0.1], DecisionRule(min_confidence=0.32), policy_set(FIX, CODE, TRAVEL, trip))

    assert trip is result.route


def test_outcome_is_no_match_when_no_match_leads_and_a_route_reaches_its_threshold() -> None:
    """A low threshold does not make a route beat a likelier no match."""
    result = chosen([0.4, 0.0, 0.0, 0.0, 0.6], DecisionRule(min_confidence=0.1))

    assert Choice(Outcome.NO_MATCH, None, 0.6, (DecisionReason.NO_MATCH_LEADS,)) == result


def test_outcome_is_low_confidence_when_a_route_leads_below_its_threshold() -> None:
    """The best route's probability is reported although it is not chosen."""
    result = chosen([0.1, 0.05, 0.05, 0.45, 0.35], DecisionRule(min_confidence=0.5))

    assert Choice(Outcome.LOW_CONFIDENCE, None, 0.45, MISSED) == result


def test_ties_go_to_the_first_route_and_to_a_route_over_no_match() -> None:
    """Equal probabilities give the same answer every time."""
    result = chosen([0.25, 0.25, 0.0, 0.25, 0.25], DecisionRule())

    assert FIX is result.route


@pytest.mark.parametrize(
    ("request_threshold", "route_threshold", "set_threshold", "expected"),
    [
        (0.1, 0.2, 0.3, (0.1, OF_REQUEST)),
        (None, 0.2, 0.3, (0.2, DecisionReason.THRESHOLD_OF_ROUTE)),
        (None, None, 0.3, (0.3, DecisionReason.THRESHOLD_OF_POLICY_SET)),
        (None, None, None, (0.4, OF_SERVER)),
        (0.0, 0.2, 0.3, (0.0, OF_REQUEST)),
    ],
)
def test_threshold_resolves_from_request_to_server(
    request_threshold: float | None,
    route_threshold: float | None,
    set_threshold: float | None,
    expected: tuple[float, DecisionReason],
) -> None:
    """The most specific threshold wins, zero counts as given, and whose it is is said."""
    one = route("a", min_confidence=route_threshold)
    rule = DecisionRule(min_confidence=request_threshold, default_min_confidence=0.4)

    assert expected == threshold_of(rule, policy_set(one, min_confidence=set_threshold), one)


def test_a_domain_and_the_route_that_missed_are_each_held_against_a_threshold_of_their_own() -> None:
    """Two thresholds act in a back-off, and each follows what it was held against."""
    of = policy_set(route("code_fix", "code", "fix", 0.9), WRITE, route("code", "code", min_confidence=0.5), TRAVEL)

    result = chosen([0.6, 0.1, 0.0, 0.1, 0.2], DecisionRule(), of)

    of_route = DecisionReason.THRESHOLD_OF_ROUTE
    assert (DecisionReason.BELOW_THRESHOLD, of_route, DecisionReason.DOMAIN_SUM, of_route) == result.reasons


@pytest.mark.parametrize(
    ("turn_kind", "reason"),
    [
        (TurnKind.TOOL_RESULT, DecisionReason.KEPT_FOR_TOOL_RESULT),
        (TurnKind.RETRY, DecisionReason.KEPT_FOR_RETRY),
    ],
)
def test_previous_route_is_kept_when_the_turn_is_not_a_user_turn(turn_kind: TurnKind, reason: DecisionReason) -> None:
    """A tool result or a retry never moves an agent loop to another model."""
    rule = DecisionRule(min_confidence=0.9, stickiness=Stickiness("code_fix", turn_kind))

    assert Choice(Outcome.MATCHED, FIX, 0.1, (reason,), kept=True) == chosen([0.1, 0.1, 0.1, 0.6, 0.1], rule)


def test_previous_route_is_kept_when_the_new_route_does_not_lead_by_the_margin() -> None:
    """A user turn switches only by a clear lead."""
    rule = DecisionRule(stickiness=Stickiness("code_fix", switch_margin=0.2))

    reasons = (DecisionReason.KEPT_BY_SWITCH_MARGIN,)
    assert Choice(Outcome.MATCHED, FIX, 0.35, reasons, kept=True) == chosen([0.35, 0.1, 0.0, 0.5, 0.05], rule)
    assert TRAVEL is chosen([0.25, 0.15, 0.0, 0.5, 0.1], rule).route


def test_previous_route_is_not_kept_when_it_leads_anyway_or_is_gone() -> None:
    """Kept says that stickiness changed the answer, and an unknown previous route is ignored."""
    leads = DecisionRule(stickiness=Stickiness("code_fix", switch_margin=0.5))
    gone = DecisionRule(stickiness=Stickiness("retired", TurnKind.RETRY))

    assert not chosen([0.6, 0.1, 0.1, 0.1, 0.1], leads).kept
    assert not chosen([0.6, 0.1, 0.1, 0.1, 0.1], gone).kept


@given(
    st.lists(st.floats(0, 1), min_size=5, max_size=5).filter(lambda values: sum(values) > 0),
    st.floats(0, 1),
)
def test_decision_is_consistent_for_every_posterior(weights: list[float], threshold: float) -> None:
    """A route is chosen exactly by the route-bearing outcomes, for a reason, and confidence is a probability."""
    probabilities = np.array(weights) / sum(weights)

    result = decide(CODE_SET, probabilities, DecisionRule(min_confidence=threshold))

    chosen = result.outcome in {Outcome.MATCHED, Outcome.DOMAIN_FALLBACK}
    assert chosen == (result.route is not None)
    assert 0.0 <= result.confidence <= 1.0
    assert result.reasons
    if chosen:
        assert result.confidence >= threshold
