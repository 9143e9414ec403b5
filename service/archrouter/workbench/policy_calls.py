"""Conversations put to a running service, each by a policy set that travels with it."""

from collections.abc import Callable, Sequence

from archrouter import v1
from archrouter.client import RoutingClient, RoutingError
from archrouter.domain.policy import PolicySet
from archrouter.suites.calls import Answer, Failure, ask_all
from archrouter.suites.requests import inline_requests
from archrouter.workbench.policy_cases import Asked, PolicyCase, Verdict


async def ask_inline(
    client: RoutingClient,
    questions: Sequence[tuple[PolicySet, PolicyCase]],
    *,
    concurrency: int,
    on_answer: Callable[[int, Answer], None],
) -> list[Asked]:
    """Route conversations.

    Args:
        client: Connected to a service that takes inline policy sets.
        questions: Sets and conversations.
        concurrency: Calls in flight, >= 1.
        on_answer: Called as answers come, see `ask_all`.

    Returns:
        A verdict for each question, in their order.

    Raises:
        RoutingError: When a call failed, the first of them: a diagnosis from the rest would be about another set.
    """
    requests = inline_requests(
        ((policy_set, case.messages) for policy_set, case in questions), v1.DecisionView.DECISION_VIEW_FULL
    )
    answers = await ask_all(client, requests, concurrency=concurrency, on_answer=on_answer)
    return [Asked(case, _verdict(answer)) for (_, case), answer in zip(questions, answers, strict=True)]


def _verdict(answer: Answer) -> Verdict:
    if isinstance(answer, Failure):
        error = RoutingError(answer.code, answer.message)
        error.reason = answer.reason
        raise error
    decision = answer.decision
    return Verdict(decision.route_id, {each.route_id: each.probability for each in decision.candidates})
