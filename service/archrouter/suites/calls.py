"""Many calls, a bounded number at a time, each with an answer whatever happens to it."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import grpc

from archrouter import v1
from archrouter.client import RoutingClient, RoutingError

DEFAULT_CONCURRENCY = 4
"""Calls in flight: enough to keep a small CPU server busy, few enough that its latency is not mostly queueing."""


ATTEMPTS = 20
"""Of a call that a server has no room for: with the half second that it advises, ten seconds."""

OVERLOADED = v1.ErrorReason.Name(v1.ErrorReason.ERROR_REASON_OVERLOADED)


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that gave a decision.

    Attributes:
        decision: The decision.
        duration_s: How long the call took, seen from the client, in seconds; its retries included, but not the waiting
            for a server without room.
    """

    decision: v1.Decision
    duration_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that gave none.

    Attributes:
        code: The gRPC status code.
        reason: The error reason; empty when the failure did not come from the service itself.
        message: The status message.
    """

    code: grpc.StatusCode
    reason: str
    message: str

    @property
    def cause(self) -> str:
        """The reason, or the code where there is none."""
        return self.reason or self.code.name


Answer = Answered | Failure


def _ignore(_index: int, _answer: Answer) -> None:
    """Report nothing."""


async def ask_all(
    client: RoutingClient,
    requests: Iterable[v1.SelectRouteRequest],
    *,
    concurrency: int = DEFAULT_CONCURRENCY,
    on_answer: Callable[[int, Answer], None] = _ignore,
) -> tuple[Answer, ...]:
    """Ask for many decisions, and again where the server has no room; a call that still fails has an answer too.

    Args:
        client: Connected to the service.
        requests: What to ask; taken one by one, as calls become free.
        concurrency: Calls in flight, >= 1.
        on_answer: Called in the event loop with the index of each request and its answer, as it comes.

    Returns:
        One answer for each request, in the order of the requests, whatever the order of the answers.
    """
    answers: dict[int, Answer] = {}
    pending = enumerate(requests)

    async def work() -> None:
        """Answer requests until none is left; the workers share them without a lock, being in one event loop."""
        for index, request in pending:
            answers[index] = await _ask(client, request)
            on_answer(index, answers[index])

    async with asyncio.TaskGroup() as workers:
        for number in range(concurrency):
            workers.create_task(work(), name=f"ask-{number}")
    return tuple(answers[index] for index in range(len(answers)))


async def _ask(client: RoutingClient, request: v1.SelectRouteRequest) -> Answer:
    """Ask until the server has room, as it advises: nobody waits for these answers, and each of them counts."""
    attempts = 0
    while True:
        attempts += 1
        started_s = time.perf_counter()
        try:
            response = await client.select_route(request)
        except RoutingError as error:
            if attempts == ATTEMPTS or error.reason != OVERLOADED or error.retry_after_s is None:
                return Failure(error.code, error.reason, error.message)
            await asyncio.sleep(error.retry_after_s)
        else:
            return Answered(response.decision, time.perf_counter() - started_s)
