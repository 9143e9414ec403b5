"""Requests of the wire become questions of the domain."""

import pytest

from archrouter import v1
from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import DecisionRule, Stickiness, TurnKind
from archrouter.domain.errors import PolicySetInvalidError
from archrouter.domain.scoring import Overflow
from archrouter.rpc.convert import select_route_from_proto
from archrouter.rpc.convert.enums import OVERFLOWS, ROLES, TURN_KINDS


def test_request_without_options_takes_every_default() -> None:
    """What a request leaves unset is what the API documents as default."""
    request = v1.SelectRouteRequest(messages=[v1.Message(role=v1.Role.ROLE_USER, content="hello")])

    question = select_route_from_proto(request, "id-1", default_min_confidence=0.25)

    assert "id-1" == question.decision_id
    assert (Message(Role.USER, "hello"),) == question.messages
    assert (None, None) == (question.policy_set_id, question.inline_policy_set)
    assert DecisionRule(None, 0.25, Stickiness("", TurnKind.USER, 0.0)) == question.rule
    assert Overflow.TRUNCATE is question.overflow


def test_request_options_are_taken_over() -> None:
    """Every option of a request reaches the question."""
    options = v1.RoutingOptions(
        min_confidence=0.0,
        overflow_behavior=v1.OverflowBehavior.OVERFLOW_BEHAVIOR_REJECT,
        previous_route_id="billing",
        turn_kind=v1.TurnKind.TURN_KIND_RETRY,
        switch_margin=0.125,
    )
    request = v1.SelectRouteRequest(policy_set="policySets/support", options=options)

    question = select_route_from_proto(request, "id-1", default_min_confidence=0.25)

    assert "support" == question.policy_set_id
    assert DecisionRule(0.0, 0.25, Stickiness("billing", TurnKind.RETRY, 0.125)) == question.rule
    assert Overflow.REJECT is question.overflow


def test_inline_policy_set_is_taken_over() -> None:
    """A policy set that travels with the request is part of the question, under its name."""
    inline = v1.PolicySet(name="policySets/mine", routes=[v1.RoutePolicy(id="a", description="b")])

    question = select_route_from_proto(
        v1.SelectRouteRequest(inline_policy_set=inline), "id-1", default_min_confidence=0.0
    )

    assert question.inline_policy_set is not None
    assert ("mine", ["a"]) == (question.inline_policy_set.id, [route.id for route in question.inline_policy_set.routes])


def test_inline_policy_set_that_the_domain_cannot_hold_is_refused() -> None:
    """A name that is no resource name makes the inline policy set invalid."""
    request = v1.SelectRouteRequest(inline_policy_set=v1.PolicySet(name="mine"))

    with pytest.raises(PolicySetInvalidError) as caught:
        select_route_from_proto(request, "id-1", default_min_confidence=0.0)

    assert ["policy_set"] == [finding.field_path for finding in caught.value.findings]


@pytest.mark.parametrize(
    ("known", "table", "unmapped"),
    [
        pytest.param(v1.Role.values(), ROLES, {v1.Role.ROLE_UNSPECIFIED}, id="role"),
        pytest.param(v1.OverflowBehavior.values(), OVERFLOWS, set(), id="overflow_behavior"),
        pytest.param(v1.TurnKind.values(), TURN_KINDS, set(), id="turn_kind"),
    ],
)
def test_every_value_of_a_request_enum_is_mapped(
    known: list[int], table: dict[int, object], unmapped: set[int]
) -> None:
    """A value that validation lets pass has a meaning in the domain."""
    assert set(known) - unmapped == table.keys()
