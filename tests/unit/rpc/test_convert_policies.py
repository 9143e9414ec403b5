"""Policy sets between the wire and the domain."""

import pytest
from google.protobuf.struct_pb2 import Struct

from archrouter import v1
from archrouter.domain.findings import Finding, Severity
from archrouter.domain.policy import MAX_EXAMPLES, MAX_ROUTES, ModelTarget, PolicySet, RoutePolicy
from archrouter.rpc.convert.policies import (
    MAX_MODELS,
    MAX_PARAMETER_BYTES,
    checked_policy_set_from_proto,
    policy_set_from_proto,
    policy_set_to_proto,
    proto_field_path,
    struct_to_json,
    validation_to_proto,
)
from archrouter.rpc.convert.routing import json_to_struct

POLICY_SET = PolicySet(
    id="support",
    description="Customer support",
    routes=(
        RoutePolicy("coding", "programming", "", "writing code", (ModelTarget("m/coder", '{"temperature":0}'),), 0.0),
        RoutePolicy("billing", "", "", "an invoice", (ModelTarget("m/small"), ModelTarget("m/general"))),
        RoutePolicy("returns", "", "", "", (ModelTarget("m/small"),), None, ("send it back",), ("it never came",)),
    ),
    fallback_models=(ModelTarget("m/general", '{"stop":["\\n"],"tools":{"web":true,"x":null}}'),),
    min_confidence=0.5,
)


def test_policy_set_survives_the_way_there_and_back() -> None:
    """What the wire carries is the whole policy set, thresholds of 0 and parameters included."""
    policy_set, findings = policy_set_from_proto(policy_set_to_proto(POLICY_SET))

    assert () == findings
    assert POLICY_SET == policy_set
    assert POLICY_SET.revision == policy_set.revision


def test_output_only_fields_of_a_request_are_ignored() -> None:
    """A caller cannot give a policy set a revision."""
    message = policy_set_to_proto(POLICY_SET)
    message.revision = "sha256:mine"
    message.activate_time.GetCurrentTime()

    policy_set, _ = policy_set_from_proto(message)

    assert POLICY_SET.revision == policy_set.revision


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        pytest.param(v1.RoutePolicy(domain="a", action="b"), "a_b", id="domain_and_action"),
        pytest.param(v1.RoutePolicy(domain="a"), "a", id="domain_only"),
        pytest.param(v1.RoutePolicy(id="c", domain="a"), "c", id="given"),
    ],
)
def test_route_id_is_derived_where_none_is_given(route: v1.RoutePolicy, expected: str) -> None:
    """A route without an id gets the one the policy file would give it."""
    policy_set, _ = policy_set_from_proto(v1.PolicySet(routes=[route]))

    assert expected == policy_set.routes[0].id


def test_policy_set_without_name_is_called_inline() -> None:
    """An inline policy set needs no name."""
    policy_set, findings = policy_set_from_proto(v1.PolicySet())

    assert ("inline", ()) == (policy_set.id, findings)


@pytest.mark.parametrize(
    "name", ["Support", "policySets/", "policySets/UPPER", "sets/support", "policySets/" + "a" * 65]
)
def test_name_that_is_no_resource_name_is_a_finding(name: str) -> None:
    """A name in any other form than ``policySets/{id}`` or the id makes the policy set invalid."""
    policy_set, findings = checked_policy_set_from_proto(v1.PolicySet(name=name))

    assert policy_set is None
    assert "name" == findings[0].field_path


def test_parameters_that_are_no_json_are_a_finding() -> None:
    """A number that JSON cannot say is reported at its model target."""
    message = policy_set_to_proto(POLICY_SET)
    message.fallback_models[0].parameters["weight"] = float("inf")

    policy_set, findings = checked_policy_set_from_proto(message)

    assert policy_set is None
    assert ["fallback_models[0].parameters"] == [finding.field_path for finding in findings]


def test_warnings_leave_a_policy_set_valid() -> None:
    """A policy set with nothing but warnings is valid, and the warnings are told."""
    finding = Finding(Severity.WARNING, "routes[0].description", "is short", line=3, column=5)

    message = validation_to_proto(POLICY_SET, (finding,))

    assert message.valid
    assert (POLICY_SET.revision, "policySets/support") == (message.revision, message.policy_set.name)
    expected = v1.PolicyFinding(
        severity=v1.Severity.SEVERITY_WARNING, field_path="routes[0].description", message="is short", line=3, column=5
    )
    assert [expected] == list(message.findings)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"a":0,"b":-1.5,"c":"x","d":true,"e":null,"f":[1,[2,{"g":"\u00e4"}]],"h":{}}',
        '{"big":9007199254740992,"huge":1e+300,"tiny":5e-324}',
    ],
)
def test_parameters_survive_the_way_there_and_back(text: str) -> None:
    """Canonical JSON becomes the same text again, whole numbers without a fraction."""
    assert text == struct_to_json(json_to_struct(text))


def test_parameters_are_written_canonically() -> None:
    """The order in which a caller sends keys does not change a revision."""
    struct = Struct()
    struct.update({"b": 1, "a": 2.0})

    assert '{"a":2,"b":1}' == struct_to_json(struct)


@pytest.mark.parametrize(
    ("domain_path", "expected"),
    [
        ("policy_set", "name"),
        ("fallback", "fallback_models"),
        ("fallback[1].model", "fallback_models[1].model"),
        ("routes[0].models[2].parameters", "routes[0].models[2].parameters"),
        ("min_confidence", "min_confidence"),
        ("", ""),
    ],
)
def test_field_path_uses_the_words_of_the_proto(domain_path: str, expected: str) -> None:
    """A finding about a message names the fields of the message."""
    assert expected == proto_field_path(domain_path)


def test_policy_set_that_breaks_a_rule_is_not_given() -> None:
    """A broken rule is found while the set is read, under the path the field has in the proto."""
    message = policy_set_to_proto(POLICY_SET)
    message.ClearField("fallback_models")

    policy_set, findings = checked_policy_set_from_proto(message)

    assert policy_set is None
    assert ["fallback_models"] == [finding.field_path for finding in findings]


def test_policy_set_with_long_lists_of_models_is_refused() -> None:
    """Each list of models is bounded, so that no request makes the server read millions of them."""
    message = policy_set_to_proto(POLICY_SET)
    message.fallback_models.extend([v1.ModelTarget(model="m")] * MAX_MODELS)
    message.routes[1].models.extend([v1.ModelTarget(model="m")] * MAX_MODELS)

    policy_set, findings = checked_policy_set_from_proto(message)

    assert policy_set is None
    assert ["routes[1].models", "fallback_models"] == [finding.field_path for finding in findings]


def test_policy_set_with_long_lists_of_examples_is_refused() -> None:
    """Two million empty texts fit into one request; nobody walks over them."""
    message = policy_set_to_proto(POLICY_SET)
    message.routes[0].examples.extend([""] * (MAX_EXAMPLES + 1))
    message.routes[2].not_examples.extend([""] * MAX_EXAMPLES)

    policy_set, findings = checked_policy_set_from_proto(message)

    assert policy_set is None
    assert ["routes[0].examples", "routes[2].not_examples"] == [finding.field_path for finding in findings]


def test_findings_of_examples_have_the_path_of_the_text() -> None:
    """A caller is led to the very text."""
    message = policy_set_to_proto(POLICY_SET)
    message.routes[2].examples.append(" ")

    _, findings = checked_policy_set_from_proto(message)

    assert ["routes[2].examples[1]"] == [finding.field_path for finding in findings]


def test_policy_set_with_large_parameters_is_refused() -> None:
    """The parameters of one model are bounded, because they travel back with each decision."""
    message = policy_set_to_proto(POLICY_SET)
    message.routes[0].models[0].parameters["prompt"] = "x" * MAX_PARAMETER_BYTES

    policy_set, findings = checked_policy_set_from_proto(message)

    assert policy_set is None
    assert ["routes[0].models[0].parameters"] == [finding.field_path for finding in findings]


def test_policy_set_with_too_many_routes_is_not_read() -> None:
    """The number of routes is looked at before the routes are."""
    policy_set, findings = checked_policy_set_from_proto(v1.PolicySet(routes=[v1.RoutePolicy()] * (MAX_ROUTES + 1)))

    assert policy_set is None
    assert ["routes"] == [finding.field_path for finding in findings]
