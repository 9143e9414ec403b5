"""Requests of the wire become questions of the domain."""

import pytest
from tests.support.fakes import make_set

from archrouter import v1
from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import DecisionRule, Stickiness, TurnKind
from archrouter.domain.scoring import Overflow
from archrouter.rpc.convert.routing import (
    OVERFLOWS,
    ROLES,
    TURN_KINDS,
    policy_set_id,
    policy_set_name,
    select_route_from_proto,
)


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


def test_ticket_and_revision_are_taken_over() -> None:
    """What the decision before left, and the revision that must decide."""
    revision = "sha256:" + "0" * 64
    request = v1.SelectRouteRequest(
        policy_set_revision=revision, options=v1.RoutingOptions(route_ticket="ticket", switch_margin=0.5)
    )

    question = select_route_from_proto(request, "id-1", default_min_confidence=0.0)

    assert revision == question.policy_set_revision
    assert Stickiness("", TurnKind.USER, 0.5, "ticket") == question.rule.stickiness


def test_inline_policy_set_is_taken_over() -> None:
    """A policy set that travels with the request is part of the question, whatever else is loaded."""
    inline = make_set("mine")

    question = select_route_from_proto(
        v1.SelectRouteRequest(), "id-1", inline_policy_set=inline, default_min_confidence=0.0
    )

    assert (None, inline) == (question.policy_set_id, question.inline_policy_set)


def test_name_and_id_lead_to_each_other() -> None:
    """An id has one name, and the name leads back to it."""
    assert "a-0" == policy_set_id(policy_set_name("a-0"))
    assert "a-0" == policy_set_id("a-0")


@pytest.mark.parametrize("name", ["", "A", "policySets/", "policySets/a/b", "policySets/a\n", " policySets/a"])
def test_other_text_is_no_name(name: str) -> None:
    """Only the whole form of a name is one."""
    assert policy_set_id(name) is None


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
