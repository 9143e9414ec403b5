"""Policy suites against a real server."""

import grpc
import pytest
from tests.support.routing_services import ScriptedService, matched, no_match, overloaded, refused, serving

from archrouter import v1
from archrouter.client import ClientOptions, RoutingClient
from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import Outcome
from archrouter.domain.suite import Suite, SuiteCase
from archrouter.policy_files.policies import load_policy_set
from archrouter.rpc.convert.policies import policy_set_from_proto
from archrouter.suites.calls import ATTEMPTS, Answered, Failure
from archrouter.suites.requests import inline_policy_set
from archrouter.suites.run import CaseResult, outcome_name, run_suite

HELLO = (Message(Role.SYSTEM, "be kind"), Message(Role.USER, "hello"))
DOMAIN_FALLBACK = v1.Decision(outcome=v1.Outcome.OUTCOME_DOMAIN_FALLBACK, route_id="coding")


@pytest.mark.parametrize(
    ("route_id", "outcome", "decision", "passed"),
    [
        ("coding", None, matched("coding"), True),
        ("coding", None, DOMAIN_FALLBACK, True),
        ("coding", None, matched("writing"), False),
        ("coding", None, no_match(), False),
        ("coding", Outcome.MATCHED, matched("coding"), True),
        ("coding", Outcome.MATCHED, DOMAIN_FALLBACK, False),
        ("coding", Outcome.DOMAIN_FALLBACK, DOMAIN_FALLBACK, True),
        ("", None, no_match(), True),
        ("", Outcome.NO_MATCH, no_match(), True),
        ("", Outcome.LOW_CONFIDENCE, no_match(), False),
        ("", None, matched("coding"), False),
    ],
)
def test_case_passes_when_route_and_outcome_are_as_expected(
    route_id: str, outcome: Outcome | None, decision: v1.Decision, *, passed: bool
) -> None:
    """The route always counts; the outcome counts where the case names one."""
    result = CaseResult(SuiteCase("case", HELLO, route_id, outcome), Answered(decision, 0.1))

    assert passed is result.passed


def test_case_without_decision_fails() -> None:
    """A failed call never passes, and its cause is what actually happened."""
    result = CaseResult(SuiteCase("case", HELLO, ""), Failure(grpc.StatusCode.UNAVAILABLE, "", "nobody there"))

    assert not result.passed
    assert "UNAVAILABLE: nobody there" == result.actual


def test_expectation_and_result_are_named_for_people() -> None:
    """Routes and outcomes read as a suite's author writes them."""
    result = CaseResult(SuiteCase("case", HELLO, "", Outcome.NO_MATCH), Answered(matched("coding"), 0.1))

    assert ("other (NO_MATCH)", "coding (MATCHED)") == (result.expected, result.actual)


def test_unknown_outcome_keeps_its_number() -> None:
    """The enum is open: a value of a later version is shown, not an error."""
    assert ("LOW_CONFIDENCE", "99") == (outcome_name(v1.Outcome.OUTCOME_LOW_CONFIDENCE), outcome_name(99))


async def test_suite_is_asked_in_order_with_all_roles() -> None:
    """Every case is one request with its whole conversation; results keep the order of the cases."""
    service = ScriptedService(lambda request: matched(request.messages[-1].content))
    cases = tuple(SuiteCase(name, (HELLO[0], Message(Role.USER, name)), name) for name in ("a", "b", "c"))

    with serving(service) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0)) as client:
            results = await run_suite(client, Suite("support", cases))

    assert [("a", True), ("b", True), ("c", True)] == [(result.case.name, result.passed) for result in results]
    assert [v1.Role.ROLE_SYSTEM, v1.Role.ROLE_USER] == [message.role for message in service.requests[0].messages]


async def test_suite_goes_on_after_a_failed_call() -> None:
    """One failed call is one failed case."""

    def answer(request: v1.SelectRouteRequest) -> v1.Decision:
        """Fail for one case."""
        if request.messages[-1].content == "a":
            raise refused(grpc.StatusCode.INTERNAL)
        return matched("b")

    cases = tuple(SuiteCase(name, (Message(Role.USER, name),), name) for name in ("a", "b"))

    with serving(ScriptedService(answer)) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0)) as client:
            results = await run_suite(client, Suite("support", cases), concurrency=1)

    assert [False, True] == [result.passed for result in results]


@pytest.mark.parametrize(("refusals", "passed"), [(ATTEMPTS - 1, True), (ATTEMPTS, False)])
async def test_suite_waits_for_a_server_that_has_no_room(refusals: int, *, passed: bool) -> None:
    """A case that is refused for overload is asked again, as the server advises, and fails only in the end."""
    left = refusals

    def answer(_request: v1.SelectRouteRequest) -> v1.Decision:
        nonlocal left
        left -= 1
        if left >= 0:
            raise overloaded(retry_after_s=0.01)
        return matched("a")

    with serving(ScriptedService(answer)) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0)) as client:
            (result,) = await run_suite(client, Suite("support", (SuiteCase("a", HELLO, "a"),)))

    assert passed is result.passed


def test_inline_policy_set_keeps_its_revision() -> None:
    """A policy set that travels inline is the same set to the service: nothing of its meaning is lost."""
    policy_set, _ = load_policy_set(
        """
        policy_set: support
        description: Everything that can be said
        min_confidence: 0.25
        models: {general: {model: m/g, parameters: {temperature: 0.5, nested: {n: [2]}}}, bare: {model: m/b}}
        fallback: [general, bare]
        routes:
          - {id: refund, description: Asks for a refund of money, models: [bare], min_confidence: 0}
          - {id: returns, models: [bare], examples: [send it back], not_examples: [it never came]}
        """
    )
    assert policy_set is not None

    read, findings = policy_set_from_proto(inline_policy_set(policy_set))

    assert () == findings
    assert policy_set.revision == read.revision
