"""Policy sets: every rule, derived ids, lookup and revision."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrouter.domain.findings import MAX_QUOTED_CHARACTERS, Finding, Severity, has_errors, quoted
from archrouter.domain.policy import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_ROUTE_ID_CHARACTERS,
    MAX_ROUTES,
    NO_MATCH_ID,
    ModelTarget,
    PolicySet,
    RoutePolicy,
    check_policy_set,
    derive_route_id,
)

_ROUTE = RoutePolicy("code_review", "code", "review", "Review of code", (ModelTarget("vendor/small"),))
_SET = PolicySet("rules", "", (_ROUTE,), (ModelTarget("vendor/small"),))


def _with(**changes: object) -> PolicySet:
    return replace(_SET, **changes)  # type: ignore[arg-type]


def _with_route(**changes: object) -> PolicySet:
    return _with(routes=(replace(_ROUTE, **changes),))  # type: ignore[arg-type]


def _numbered(count: int) -> tuple[RoutePolicy, ...]:
    return tuple(replace(_ROUTE, id=f"route_{number}") for number in range(count))


def _described(finding: Finding) -> tuple[str, str]:
    assert Severity.ERROR is finding.severity
    assert (0, 0) == (finding.line, finding.column)
    return finding.field_path, finding.message


def test_check_of_valid_set_finds_nothing() -> None:
    """A set that keeps every rule has no finding."""
    assert () == check_policy_set(_SET)


@pytest.mark.parametrize(
    "policy_set",
    [
        _with(id="a"),
        _with(id="0-9" + "z" * 61),
        _with(routes=_numbered(MAX_ROUTES)),
        _with(min_confidence=0.0),
        _with(min_confidence=1.0),
        _with_route(id="x"),
        _with_route(id="i" * MAX_ROUTE_ID_CHARACTERS),
        _with_route(id="münchen 旅行"),
        _with_route(id="Other"),
        _with_route(description="d" * MAX_DESCRIPTION_CHARACTERS),
        _with_route(domain="", action=""),
        _with_route(min_confidence=0.0),
        _with_route(min_confidence=1.0),
    ],
)
def test_check_of_set_at_its_limits_finds_nothing(policy_set: PolicySet) -> None:
    """Every limit is inclusive, and what no rule forbids is allowed."""
    assert () == check_policy_set(policy_set)


@pytest.mark.parametrize(
    ("policy_set", "field_path", "message"),
    [
        (_with(id=""), "policy_set", "'' is not a valid name; use 1-64 of the characters a-z, 0-9 and '-'"),
        (_with(id="Rules"), "policy_set", "'Rules' is not a valid name"),
        (_with(id="rules\n"), "policy_set", "'rules\\n' is not a valid name"),
        (_with(id="z" * 65), "policy_set", "is not a valid name"),
        (_with(routes=()), "routes", "the set has no route; write at least one policy"),
        (_with(routes=_numbered(MAX_ROUTES + 1)), "routes", "513 routes exceed the limit of 512; split the set"),
        (_with(fallback_models=()), "fallback", "no fallback model; name at least one"),
        (_with(fallback_models=(ModelTarget(" "),)), "fallback[0].model", "is empty; name the model"),
        (_with(min_confidence=-0.01), "min_confidence", "-0.01 is outside [0, 1]; confidence is a probability"),
        (_with(min_confidence=1.01), "min_confidence", "1.01 is outside [0, 1]"),
        (_with(min_confidence=math.nan), "min_confidence", "nan is outside [0, 1]"),
        (_with_route(id=""), "routes[0].id", "'' has 0 characters; use 1 to 64"),
        (_with_route(id="i" * 65), "routes[0].id", "has 65 characters; use 1 to 64"),
        (_with_route(id=NO_MATCH_ID), "routes[0].id", "'other' is reserved for requests no policy matches"),
        (_with_route(id="mu\u0308nchen"), "routes[0].id", "is not in Unicode NFC; normalise it"),
        (_with_route(id=" code"), "routes[0].id", "' code' has outer spaces or control characters; remove them"),
        (_with_route(id="co\u200bde"), "routes[0].id", "has outer spaces or control characters; remove them"),
        (_with_route(description=" \n"), "routes[0].description", "is empty; the model reads it"),
        (_with_route(description="d" * 2001), "routes[0].description", "has 2001 characters, more than 2000"),
        (_with_route(models=()), "routes[0].models", "names no model; assign at least one"),
        (_with_route(models=(ModelTarget("a"), ModelTarget(""))), "routes[0].models[1].model", "is empty; name the"),
        (_with_route(min_confidence=2.0), "routes[0].min_confidence", "2.0 is outside [0, 1]"),
    ],
)
def test_check_finds_broken_rule_at_its_field(policy_set: PolicySet, field_path: str, message: str) -> None:
    """Each broken rule gives one error, at the field that breaks it, with the value and the remedy."""
    (finding,) = check_policy_set(policy_set)

    path, text = _described(finding)
    assert field_path == path
    assert message in text


def test_check_finds_every_route_of_a_repeated_id() -> None:
    """All routes that share an id are named, since any of them may be the wrong one."""
    policy_set = _with(routes=(_ROUTE, replace(_ROUTE, id="another"), _ROUTE, _ROUTE))

    findings = check_policy_set(policy_set)

    message = "'code_review' names 3 routes; ids are unique"
    assert [(f"routes[{index}].id", message) for index in (0, 2, 3)] == [_described(f) for f in findings]


def test_check_finds_all_broken_rules_at_once() -> None:
    """One check says everything, so that one correction round is enough."""
    route = replace(_ROUTE, id=NO_MATCH_ID, description="", models=(), min_confidence=-1.0)
    policy_set = PolicySet("No!", "", (_ROUTE, route), (), 7.0)

    findings = check_policy_set(policy_set)

    paths = ["policy_set", "fallback", "min_confidence"]
    paths += [f"routes[1].{field}" for field in ("id", "description", "models", "min_confidence")]
    assert paths == [finding.field_path for finding in findings]
    assert has_errors(findings)


def test_check_quotes_only_the_beginning_of_a_long_value() -> None:
    """A message about an absurdly long id can still be read."""
    (finding,) = check_policy_set(_with_route(id="i" * 1_000_000))

    assert f"{'i' * MAX_QUOTED_CHARACTERS!r}... has 1000000 characters; use 1 to 64" == finding.message


@pytest.mark.parametrize(
    ("domain", "action", "expected"),
    [("code", "review", "code_review"), ("code", "", "code"), ("", "review", "review"), ("", "", "")],
)
def test_derived_id_joins_what_is_there(domain: str, action: str, expected: str) -> None:
    """An id is made of domain and action, or of the one that is not empty."""
    assert expected == derive_route_id(domain, action)


@pytest.mark.parametrize(
    ("domain", "action", "expected"),
    [("code", "", True), ("code", "review", False), ("", "review", False), ("", "", False)],
)
def test_route_covers_its_domain_only_without_an_action(domain: str, action: str, expected: bool) -> None:  # noqa: FBT001
    """A domain-level policy has a domain and no action; a route without a domain covers none."""
    assert expected == replace(_ROUTE, domain=domain, action=action).covers_domain


def test_route_is_found_by_its_id() -> None:
    """A decision leads to the policy that has the id the model answered."""
    policy_set = _with(routes=_numbered(3))

    assert policy_set.routes[1] is policy_set.route("route_1")


def test_route_of_unknown_id_is_none() -> None:
    """An id the set does not have leads to nothing; so does the reserved answer."""
    assert None is _SET.route("unknown")
    assert None is _SET.route(NO_MATCH_ID)


def test_revision_is_a_sha256_of_the_canonical_form() -> None:
    """The canonical form is sorted, compact JSON in UTF-8: another form would orphan every revision in use."""
    canonical = (
        '{"description":"","fallback_models":[{"model":"vendor/small","parameters":{}}],"id":"rules",'
        '"min_confidence":null,"routes":[{"action":"review","description":"Prüfung","domain":"code",'
        '"id":"code_review","min_confidence":0.5,"models":[{"model":"vendor/small","parameters":{}}]}]}'
    )

    revision = _with_route(description="Prüfung", min_confidence=0.5).revision

    assert f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}" == revision


def test_revision_ignores_layout_of_parameters() -> None:
    """Key order and spaces in parameters are no change of meaning."""
    one = _with_route(models=(ModelTarget("a", '{"x":1,"y":[2]}'),))
    other = _with_route(models=(ModelTarget("a", '{ "y": [2], "x": 1 }'),))

    assert one.revision == other.revision


@pytest.mark.parametrize(
    "changed",
    [
        _with(id="rulez"),
        _with(description="Rules"),
        _with(min_confidence=0.0),
        _with(fallback_models=(ModelTarget("vendor/large"),)),
        _with(fallback_models=(ModelTarget("vendor/small", '{"temperature":0}'),)),
        _with(fallback_models=(ModelTarget("vendor/small"), ModelTarget("vendor/small"))),
        _with(routes=(_ROUTE, replace(_ROUTE, id="another"))),
        _with_route(id="review"),
        _with_route(domain="codes"),
        _with_route(action="reviews"),
        _with_route(description="Review of code."),
        _with_route(models=(ModelTarget("vendor/large"),)),
        _with_route(min_confidence=0.0),
    ],
)
def test_revision_differs_for_any_change_of_meaning(changed: PolicySet) -> None:
    """Every field of a set is part of its revision."""
    assert _SET.revision != changed.revision


def test_revision_differs_for_another_order() -> None:
    """The order of routes and of models is meaning."""
    routes, models = _numbered(2), (ModelTarget("a"), ModelTarget("b"))

    assert _with(routes=routes).revision != _with(routes=routes[::-1]).revision
    assert _with_route(models=models).revision != _with_route(models=models[::-1]).revision


_TEXTS = st.text(max_size=8)


@given(_TEXTS, _TEXTS, _TEXTS, _TEXTS)
def test_revision_tells_apart_texts_in_different_fields(one: str, two: str, three: str, four: str) -> None:
    """No text can be moved over the border of two fields without changing the revision."""
    before = _with_route(domain=one, action=two)
    after = _with_route(domain=three, action=four)

    assert ((one, two) == (three, four)) == (before.revision == after.revision)


@pytest.mark.parametrize(
    "assign",
    [
        lambda: setattr(_SET, "id", "x"),
        lambda: setattr(_ROUTE, "id", "x"),
        lambda: setattr(_ROUTE.models[0], "model", "x"),
    ],
)
def test_policies_are_immutable(assign: Callable[[], None]) -> None:
    """What is being served cannot change underneath a decision."""
    with pytest.raises(FrozenInstanceError):
        assign()


@pytest.mark.parametrize(
    ("severities", "expected"),
    [((), False), ((Severity.WARNING,), False), ((Severity.WARNING, Severity.ERROR), True)],
)
def test_findings_have_errors_only_with_an_error(severities: tuple[Severity, ...], expected: bool) -> None:  # noqa: FBT001
    """Warnings alone keep nobody from using a set."""
    findings = tuple(Finding(severity, "routes", "is odd") for severity in severities)

    assert expected == has_errors(findings)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("no", "'no'"), ("a\nb", "'a\\nb'"), ("x" * 60, f"'{'x' * 60}'"), ("x" * 61, f"'{'x' * 60}'...")],
)
def test_quoted_value_is_escaped_and_cut(text: str, expected: str) -> None:
    """A quoted value stays in one line of limited length."""
    assert expected == quoted(text)
