"""Policy suites: conversations with the route their author expects, the tests of a policy set."""

import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import Outcome
from archrouter.domain.findings import Finding, error_at, quoted
from archrouter.domain.policy import NO_MATCH_ID, PolicySet

_ROUTE_OUTCOMES = frozenset({Outcome.MATCHED, Outcome.DOMAIN_FALLBACK})


@dataclass(frozen=True, slots=True)
class SuiteCase:
    """One conversation and what should become of it.

    Attributes:
        name: What the case is about; unique in the suite.
        messages: Oldest first; the last one is to be routed.
        expected_route_id: Id of a route; empty where no route should be chosen.
        expected_outcome: Outcome that must lead there; None accepts any.
    """

    name: str
    messages: tuple[Message, ...]
    expected_route_id: str
    expected_outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one policy set.

    Attributes:
        policy_set_id: The set they are routed by.
        cases: At least one, in the order of their author.
    """

    policy_set_id: str
    cases: tuple[SuiteCase, ...]


def check_suite(suite: Suite) -> tuple[Finding, ...]:
    """Find every broken rule of a suite, whatever its fields hold, in the order of the fields. O(total characters)."""
    return tuple(_suite_findings(suite))


def check_suite_routes(suite: Suite, policy_set: PolicySet) -> tuple[Finding, ...]:
    """Find the cases that can never pass, one error each, because the policy set has no such route."""
    route_ids = [route.id for route in policy_set.routes]
    return tuple(
        error_at(f"cases[{index}].expected_route_id", _unknown_route(case.expected_route_id, policy_set.id, route_ids))
        for index, case in enumerate(suite.cases)
        if case.expected_route_id and policy_set.route(case.expected_route_id) is None
    )


def _unknown_route(route_id: str, policy_set_id: str, route_ids: list[str]) -> str:
    close = difflib.get_close_matches(route_id, route_ids, n=1)
    remedy = f"did you mean {quoted(close[0])}?" if close else f"name one of its routes, or {NO_MATCH_ID!r} for none"
    return f"{quoted(route_id)} is no route of the policy set {quoted(policy_set_id)}; {remedy}"


def _suite_findings(suite: Suite) -> Iterator[Finding]:
    if not suite.policy_set_id.strip():
        yield error_at("policy_set_id", "is empty; name the policy set that the cases are routed by")
    if not suite.cases:
        yield error_at("cases", "the suite has no case; write at least one")
    counts = Counter(case.name for case in suite.cases)
    for index, case in enumerate(suite.cases):
        path = f"cases[{index}]"
        if not case.name.strip():
            yield error_at(f"{path}.name", "is empty; say what the case is about")
        elif counts[case.name] > 1:
            yield error_at(f"{path}.name", f"{quoted(case.name)} names {counts[case.name]} cases; names are unique")
        if not any(message.role is Role.USER and message.has_text for message in case.messages):
            yield error_at(
                f"{path}.messages", "no user message with text; the route follows the latest one, so write it"
            )
        yield from _expectation_findings(path, case)


def _expectation_findings(path: str, case: SuiteCase) -> Iterator[Finding]:
    outcome = case.expected_outcome
    if outcome is None or (outcome in _ROUTE_OUTCOMES) == bool(case.expected_route_id):
        return
    route = quoted(case.expected_route_id or NO_MATCH_ID)
    yield error_at(
        f"{path}.expected_outcome", f"{outcome.name} never comes with the route {route}; change one of the two"
    )
