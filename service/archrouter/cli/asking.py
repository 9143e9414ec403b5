"""Conversations put to a running service for a command, each by a policy set that travels with it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from archrouter import v1
from archrouter.cli.console import progress
from archrouter.cli.exits import UnusableError
from archrouter.client import ClientOptions, RetryOptions, RoutingClient
from archrouter.domain.conversation import Message
from archrouter.domain.policy import PolicySet
from archrouter.suites.calls import Answer, ask_all
from archrouter.suites.requests import inline_requests

SERVE_ARGUMENTS = ("--policies-inline-enabled", "--limits-max-inline-routes", "512", "--logging-level", "warning")
"""For a service that is started for a command: any valid set may travel."""

_PATIENCE = RetryOptions(max_attempts=5, initial_backoff_s=0.5, max_backoff_s=5.0)
"""A command makes hundreds of calls: a moment in which the service is not ready must not end it."""

Question = tuple[PolicySet, Sequence[Message]]
Ask = Callable[[Sequence[Question]], Awaitable[tuple[Answer, ...]]]
"""Routes conversations; an answer for each, in their order. A call that failed has one too."""


@asynccontextmanager
async def asking(
    options: ClientOptions, concurrency: int, *, full: bool = False, total: int | None = None
) -> AsyncIterator[Ask]:
    """Give what routes conversations, and show how far it is.

    Args:
        options: Where the service is.
        concurrency: Calls in flight, >= 1.
        full: Whether the decisions are to list every candidate.
        total: How many conversations there will be; None where that is not known.

    Raises:
        UnusableError: When the service takes no inline policy sets.
        RoutingError: When it does not answer at all.
    """
    view = v1.DecisionView.DECISION_VIEW_FULL if full else v1.DecisionView.DECISION_VIEW_BASIC
    async with RoutingClient(options) as client:
        # An unreachable service ends the command here, not call by call.
        if not (await client.server_info()).inline_policies_enabled:
            msg = "the service takes no inline policy sets; start it with --policies-inline-enabled"
            raise UnusableError(msg)
    async with RoutingClient(replace(options, retry=_PATIENCE)) as client:
        with progress() as display:
            task = display.add_task("routing", total=total)

            async def ask(questions: Sequence[Question]) -> tuple[Answer, ...]:
                """Route some of them."""
                requests = inline_requests(questions, view)
                return await ask_all(
                    client, requests, concurrency=concurrency, on_answer=lambda *_: display.advance(task)
                )

            yield ask
