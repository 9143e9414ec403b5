"""The checks of a request's fields."""

from collections.abc import Callable

import pytest

from archrouter import v1
from archrouter.application.router import RequestLimits
from archrouter.domain.errors import InvalidRequestError
from archrouter.rpc.convert.routing import check_batch, check_select_route

LIMITS = RequestLimits(max_messages=3, max_message_characters=100, max_batch_size=2, max_inline_routes=2)


def valid_request() -> v1.SelectRouteRequest:
    """Build a request that sets every checked field to an allowed value."""
    return v1.SelectRouteRequest(
        messages=[v1.Message(role=v1.Role.ROLE_USER, content="hello")],
        policy_set="policySets/support",
        options=v1.RoutingOptions(
            min_confidence=1.0,
            overflow_behavior=v1.OverflowBehavior.OVERFLOW_BEHAVIOR_REJECT,
            max_candidates=0,
            turn_kind=v1.TurnKind.TURN_KIND_RETRY,
            switch_margin=0.0,
        ),
        view=v1.DecisionView.DECISION_VIEW_FULL,
        correlation_id="c" * 64,
        policy_set_revision="sha256:" + "0123456789abcdef" * 4,
    )


def paths_of_violations(request: v1.SelectRouteRequest) -> list[str]:
    """List the field paths a check reports."""
    with pytest.raises(InvalidRequestError) as caught:
        check_select_route(request, LIMITS)
    return [finding.field_path for finding in caught.value.findings]


def test_valid_request_passes() -> None:
    """The bounds themselves are allowed."""
    check_select_route(valid_request(), LIMITS)


@pytest.mark.parametrize(
    ("path", "spoil"),
    [
        ("messages", lambda r: r.ClearField("messages")),
        ("messages", lambda r: r.messages.extend([v1.Message(role=v1.Role.ROLE_USER)] * 3)),
        ("messages[0].role", lambda r: r.messages[0].ClearField("role")),
        ("messages[0].role", lambda r: setattr(r.messages[0], "role", 5)),
        ("policy_set", lambda r: setattr(r, "policy_set", "Support")),
        ("policy_set", lambda r: setattr(r, "policy_set", "sets/support")),
        ("policy_set", lambda r: setattr(r, "policy_set", "policySets/Support")),
        ("policy_set", lambda r: setattr(r, "policy_set", "policySets/" + "a" * 65)),
        ("inline_policy_set.routes", lambda r: r.inline_policy_set.routes.extend([v1.RoutePolicy()] * 3)),
        ("options.min_confidence", lambda r: setattr(r.options, "min_confidence", -0.01)),
        ("options.min_confidence", lambda r: setattr(r.options, "min_confidence", 1.01)),
        ("options.min_confidence", lambda r: setattr(r.options, "min_confidence", float("nan"))),
        ("options.overflow_behavior", lambda r: setattr(r.options, "overflow_behavior", 3)),
        ("options.max_candidates", lambda r: setattr(r.options, "max_candidates", -1)),
        ("options.turn_kind", lambda r: setattr(r.options, "turn_kind", 4)),
        ("options.switch_margin", lambda r: setattr(r.options, "switch_margin", float("inf"))),
        ("options.route_ticket", lambda r: setattr(r.options, "route_ticket", "t" * 1025)),
        ("view", lambda r: setattr(r, "view", 4)),
        ("correlation_id", lambda r: setattr(r, "correlation_id", "c" * 65)),
        ("policy_set_revision", lambda r: setattr(r, "policy_set_revision", "sha256:" + "A" * 64)),
    ],
)
def test_malformed_field_is_reported_by_its_proto_path(
    path: str, spoil: Callable[[v1.SelectRouteRequest], None]
) -> None:
    """One malformed field gives one violation, at the field's path in the proto."""
    request = valid_request()
    spoil(request)

    assert [path] == paths_of_violations(request)


def test_a_ticket_and_a_previous_route_are_one_too_many() -> None:
    """Of two previous routes nobody could say which one counts."""
    request = valid_request()
    request.options.route_ticket, request.options.previous_route_id = "t" * 1024, "billing"

    assert ["options.route_ticket"] == paths_of_violations(request)


def test_every_violation_is_reported_in_field_order() -> None:
    """A caller learns everything from one attempt."""
    request = v1.SelectRouteRequest(
        messages=[v1.Message(), v1.Message(role=v1.Role.ROLE_USER), v1.Message(role=v1.Role.ValueType(9))],
        policy_set="?",
        correlation_id="c" * 65,
    )

    assert ["messages[0].role", "messages[2].role", "policy_set", "correlation_id"] == paths_of_violations(request)


def test_long_value_is_shortened_in_the_description() -> None:
    """A description never repeats a long value whole."""
    request = v1.SelectRouteRequest(policy_set="x" * 100_000)

    with pytest.raises(InvalidRequestError) as caught:
        check_select_route(request, LIMITS)

    assert all(len(finding.message) < 200 for finding in caught.value.findings)


def test_correlation_id_is_measured_in_characters() -> None:
    """Sixty-four characters are allowed however many bytes they take."""
    request = valid_request()
    request.correlation_id = "\U0001f600" * 64

    check_select_route(request, LIMITS)


@pytest.mark.parametrize("count", [1, 2])
def test_batch_within_its_limit_passes(count: int) -> None:
    """The items of a batch are not looked at, only counted."""
    check_batch(v1.BatchSelectRoutesRequest(requests=[v1.SelectRouteRequest()] * count), LIMITS)
