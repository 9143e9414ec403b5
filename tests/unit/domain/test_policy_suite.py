"""Policy suites: every rule, and the routes they expect."""

from dataclasses import replace

import pytest

from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import Outcome
from archrouter.domain.findings import Finding, Severity
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.suite import Suite, SuiteCase, check_suite, check_suite_routes

_CASE = SuiteCase("asks for code", (Message(Role.USER, "Write a sorter"),), "code")
_MODELS = (ModelTarget("vendor/small"),)
_POLICY_SET = PolicySet("rules", "", (RoutePolicy("code", "", "", "Writing code", _MODELS),), _MODELS)


def _suite(*cases: SuiteCase) -> Suite:
    return Suite("rules", cases)


def _error(field_path: str, message: str) -> Finding:
    return Finding(Severity.ERROR, field_path, message)


@pytest.mark.parametrize(
    ("route_id", "outcome"),
    [
        ("code", None),
        ("code", Outcome.MATCHED),
        ("code", Outcome.DOMAIN_FALLBACK),
        ("", None),
        ("", Outcome.NO_MATCH),
        ("", Outcome.LOW_CONFIDENCE),
    ],
)
def test_check_of_valid_suite_finds_nothing(route_id: str, outcome: Outcome | None) -> None:
    """Every outcome goes with a route or with none, as decisions have it."""
    assert () == check_suite(_suite(replace(_CASE, expected_route_id=route_id, expected_outcome=outcome)))


def test_check_accepts_a_conversation_whose_last_message_is_a_tool_result() -> None:
    """One user message with text is enough, wherever it stands."""
    messages = (Message(Role.SYSTEM, ""), *_CASE.messages, Message(Role.USER, " "), Message(Role.TOOL, "{}"))

    assert () == check_suite(_suite(replace(_CASE, messages=messages)))


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        (
            Suite(" ", (_CASE,)),
            [_error("policy_set_id", "is empty; name the policy set that the cases are routed by")],
        ),
        (_suite(), [_error("cases", "the suite has no case; write at least one")]),
        (_suite(replace(_CASE, name=" ")), [_error("cases[0].name", "is empty; say what the case is about")]),
        (
            _suite(_CASE, replace(_CASE, name="another"), _CASE),
            [_error(f"cases[{i}].name", "'asks for code' names 2 cases; names are unique") for i in (0, 2)],
        ),
        *(
            (
                _suite(replace(_CASE, messages=messages)),
                [
                    _error(
                        "cases[0].messages",
                        "no user message with text; the route follows the latest one, so write it",
                    )
                ],
            )
            for messages in ((), (Message(Role.USER, " \n"),), (Message(Role.ASSISTANT, "Sure."),))
        ),
        *(
            (
                _suite(replace(_CASE, expected_outcome=outcome)),
                [
                    _error(
                        "cases[0].expected_outcome",
                        f"{outcome.name} never comes with the route 'code'; change one of the two",
                    )
                ],
            )
            for outcome in (Outcome.NO_MATCH, Outcome.LOW_CONFIDENCE)
        ),
        *(
            (
                _suite(replace(_CASE, expected_route_id="", expected_outcome=outcome)),
                [
                    _error(
                        "cases[0].expected_outcome",
                        f"{outcome.name} never comes with the route 'other'; change one of the two",
                    )
                ],
            )
            for outcome in (Outcome.MATCHED, Outcome.DOMAIN_FALLBACK)
        ),
    ],
)
def test_check_finds_broken_rule_at_its_field(suite: Suite, expected: list[Finding]) -> None:
    """Each broken rule gives an error at the field that breaks it, with the remedy."""
    assert expected == list(check_suite(suite))


def test_check_of_routes_accepts_routes_of_the_set_and_no_match() -> None:
    """A case may expect any route of the set, or none."""
    suite = _suite(_CASE, replace(_CASE, name="thanks", expected_route_id=""))

    assert () == check_suite_routes(suite, _POLICY_SET)


def test_check_of_routes_guesses_what_a_misspelled_route_means() -> None:
    """A case that can never pass is an error, with the route its author probably meant."""
    suite = _suite(_CASE, replace(_CASE, name="another", expected_route_id="coed"))

    message = "'coed' is no route of the policy set 'rules'; did you mean 'code'?"
    assert (_error("cases[1].expected_route_id", message),) == check_suite_routes(suite, _POLICY_SET)


def test_check_of_routes_says_what_is_allowed_where_nothing_is_close() -> None:
    """Without a likely meaning the message says what could stand there."""
    suite = _suite(replace(_CASE, expected_route_id="weather"))

    message = "'weather' is no route of the policy set 'rules'; name one of its routes, or 'other' for none"
    assert (_error("cases[0].expected_route_id", message),) == check_suite_routes(suite, _POLICY_SET)
