"""Asking a service for the decisions on many turns, each by a policy set that travels with the request."""

from collections.abc import Callable, Sequence

from archrouter import v1
from archrouter.client import RoutingClient
from archrouter.domain.policy import PolicySet
from archrouter.suites.calls import Answer, ask_all
from archrouter.suites.requests import inline_requests
from archrouter.workbench.policies import WorkbenchError
from archrouter.workbench.traffic import Turn

SERVE_ARGUMENTS = ("--policies-inline-enabled", "--limits-max-inline-routes", "512", "--logging-level", "warning")
"""For a service that is started for a command: any valid set may travel."""

Question = tuple[Turn, PolicySet]


async def ask_turns(
    client: RoutingClient, questions: Sequence[Question], *, concurrency: int, full: bool, on_answer: Callable[[], None]
) -> tuple[Answer, ...]:
    """Route turns.

    Args:
        client: Connected to the service.
        questions: What to ask.
        concurrency: Calls in flight, >= 1.
        full: Whether the decisions are to list every candidate.
        on_answer: Called at each answer.

    Returns:
        An answer for each question, in their order; a call that failed has one too.

    Raises:
        WorkbenchError: When the service takes no inline policy sets.
        RoutingError: When it does not answer at all.
    """
    info = await client.server_info()
    if not info.inline_policies_enabled:
        msg = "the service takes no inline policy sets; start it with --policies-inline-enabled"
        raise WorkbenchError(msg)
    requests = inline_requests(
        ((policy_set, turn.messages) for turn, policy_set in questions),
        v1.DecisionView.DECISION_VIEW_FULL if full else v1.DecisionView.DECISION_VIEW_BASIC,
    )
    return await ask_all(client, requests, concurrency=concurrency, on_answer=lambda _index, _answer: on_answer())
