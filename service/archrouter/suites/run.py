"""Running policy suites against a service."""

from collections.abc import Sequence
from dataclasses import dataclass

from archrouter import v1
from archrouter.client import RoutingClient
from archrouter.domain.policy import NO_MATCH_ID, PolicySet
from archrouter.domain.suite import Suite, SuiteCase
from archrouter.suites.calls import DEFAULT_CONCURRENCY, Answer, Failure, ask_all
from archrouter.suites.requests import inline_policy_set, policy_set_name, request_messages


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case, and the decision, or why there is none."""

    case: SuiteCase
    answer: Answer

    @property
    def expected(self) -> str:
        """The expected route, or ``other``, and the outcome where one is expected."""
        route = self.case.expected_route_id or NO_MATCH_ID
        return f"{route} ({self.case.expected_outcome.name})" if self.case.expected_outcome else route

    @property
    def actual(self) -> str:
        """The route that was chosen, or ``other``, and the outcome; or the cause of the failure."""
        if isinstance(self.answer, Failure):
            return f"{self.answer.cause}: {self.answer.message}"
        decision = self.answer.decision
        return f"{decision.route_id or NO_MATCH_ID} ({outcome_name(decision.outcome)})"

    @property
    def passed(self) -> bool:
        """Whether route and, where one is expected, outcome are as the case says."""
        if isinstance(self.answer, Failure):
            return False
        decision, outcome = self.answer.decision, self.case.expected_outcome
        return decision.route_id == self.case.expected_route_id and (
            outcome is None or outcome_name(decision.outcome) == outcome.name
        )


async def run_suite(
    client: RoutingClient,
    suite: Suite,
    *,
    inline: PolicySet | None = None,
    concurrency: int = DEFAULT_CONCURRENCY,
) -> tuple[CaseResult, ...]:
    """Route every case of a suite, `concurrency` >= 1 at a time; one result for each case, in their order.

    `inline` travels with each request; None takes the policy set that the service has loaded under the suite's id.
    """
    requests = [_request(suite, case, inline) for case in suite.cases]
    answers: Sequence[Answer] = await ask_all(client, requests, concurrency=concurrency)
    return tuple(CaseResult(case, answer) for case, answer in zip(suite.cases, answers, strict=True))


def outcome_name(outcome: int) -> str:
    """Name a `v1.Outcome` for people, e.g. ``MATCHED``; one that this client does not know by its number."""
    known = outcome in v1.Outcome.values()
    return v1.Outcome.Name(v1.Outcome.ValueType(outcome)).removeprefix("OUTCOME_") if known else str(outcome)


def _request(suite: Suite, case: SuiteCase, inline: PolicySet | None) -> v1.SelectRouteRequest:
    messages = request_messages(case.messages)
    if inline is not None:
        return v1.SelectRouteRequest(messages=messages, inline_policy_set=inline_policy_set(inline))
    return v1.SelectRouteRequest(messages=messages, policy_set=policy_set_name(suite.policy_set_id))
