"""More calls at a time than the queue takes: the excess is refused in words the service knows, and none hangs."""

import asyncio
import time
from dataclasses import dataclass
from typing import NamedTuple

import grpc

from archrouter.domain.errors import ArchRouterError, BackendUnavailableError, OverloadedError
from archrouter.inference.triton_client import TritonClient
from archrouter.inference.triton_errors import QUEUE_FULL_TEXT
from engine.verify.report import Check, Verdict
from engine.verify.served import Refusal, ServedEngine, refusal_of, wait_until_ready

OVERLOAD, QUEUE_FULL = "overload", "queue_full_error"

DEFAULT_CALL_COUNT = 128
_DOUBLING_COUNT = 3
_CALL_S = 0.1
"""About how long one call shall take, so that the queue fills faster than it drains."""

_FEWEST_TOKENS, _MOST_TOKENS = 8, 128


class QueueFull(NamedTuple):
    """How a server says that its queue is full, and what the service makes of it (ADR 0005)."""

    server: str
    status: grpc.StatusCode
    text: str
    error: type[ArchRouterError]


WAYS = (
    QueueFull("TensorRT-LLM's executor", grpc.StatusCode.INTERNAL, QUEUE_FULL_TEXT, OverloadedError),
    QueueFull("Triton's own queue", grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size", BackendUnavailableError),
)


@dataclass(frozen=True, slots=True)
class Burst:
    """What became of calls that were made at once."""

    call_count: int
    answered_count: int
    hung_count: int
    refusals: tuple[tuple[Refusal, type[ArchRouterError]], ...]
    duration_s: float

    @property
    def unknown(self) -> list[str]:
        """Refusals that do not say that a queue is full."""
        return sorted({str(refusal) for refusal, _ in self.refusals if _way_of(refusal) is None})


async def check_overload(engine: ServedEngine, call_count: int) -> tuple[Check, Check]:
    """Make more and more calls at a time until the first is refused."""
    token_count = await engine.tokens_in(_CALL_S, fewest=_FEWEST_TOKENS, most=_MOST_TOKENS)
    burst = await _burst(engine, call_count, token_count)
    for _ in range(_DOUBLING_COUNT):
        if burst.refusals or burst.hung_count:
            break
        burst = await _burst(engine, 2 * burst.call_count, token_count)
    await engine.run_on(1)
    return judge_overload(burst), judge_queue_full(burst)


def judge_overload(burst: Burst) -> Check:
    """Say whether a burst went as it should."""
    refused_count = len(burst.refusals)
    measured = (
        f"of {burst.call_count} calls at once {burst.answered_count} answered, {refused_count} refused, "
        f"{burst.hung_count} without answer, in {burst.duration_s:.1f} s"
    )
    if burst.unknown:
        measured += f"; other errors: {burst.unknown[0]}"
    return Check.of(
        OVERLOAD,
        measured,
        limit="some refused because the queue is full, the others answered, none hangs",
        passed=bool(refused_count and burst.answered_count) and not burst.hung_count and not burst.unknown,
        remedy="bound the queue (max_queue_size in config.pbtxt); where it is longer, raise --overload-calls",
        figures={
            "calls": burst.call_count,
            "answered": burst.answered_count,
            "refused": refused_count,
            "hung": burst.hung_count,
            "duration_s": burst.duration_s,
            "other_errors": burst.unknown,
        },
    )


def judge_queue_full(burst: Burst) -> Check:
    """Say whether the service understands the refusals."""
    limit = "; ".join(f"{way.status.name} {way.text!r} becomes {way.error.__name__}" for way in WAYS)
    if not burst.refusals:
        return Check(QUEUE_FULL, Verdict.NOT_APPLICABLE, "no call was refused", limit)
    wrong = sorted(
        f"{refusal} became {error.__name__}"
        for refusal, error in burst.refusals
        if (way := _way_of(refusal)) is None or error is not way.error
    )
    seen = sorted({way.server for refusal, _ in burst.refusals if (way := _way_of(refusal)) is not None})
    first_refusal, first_error = burst.refusals[0]
    return Check.of(
        QUEUE_FULL,
        wrong[0] if wrong else f"{first_refusal} became {first_error.__name__}",
        limit=limit,
        passed=not wrong,
        remedy="teach archrouter.inference.triton_errors this server's words",
        figures={"servers": seen, "wrong": wrong, "first": str(first_refusal)},
    )


def _way_of(refusal: Refusal) -> QueueFull | None:
    return next((way for way in WAYS if way.status.name == refusal.status and way.text in refusal.text), None)


async def _burst(engine: ServedEngine, call_count: int, token_count: int) -> Burst:
    # A connection of its own: the engine's lets fewer calls through at a time than a queue takes.
    connection = TritonClient(engine.connection.endpoint, max_concurrent_requests=call_count)
    try:
        await wait_until_ready(connection, engine.model, timeout_s=engine.call_timeout_s)
        started_s = time.perf_counter()
        calls = (engine.run_on(token_count, connection=connection) for _ in range(call_count))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        duration_s = time.perf_counter() - started_s
    finally:
        await connection.close()
    refusals, hung_count = [], 0
    for outcome in outcomes:
        if isinstance(outcome, ArchRouterError):
            refusal = refusal_of(outcome)
            if refusal.status == grpc.StatusCode.DEADLINE_EXCEEDED.name:
                hung_count += 1
            else:
                refusals.append((refusal, type(outcome)))
        elif isinstance(outcome, BaseException):
            raise outcome
    answered_count = call_count - hung_count - len(refusals)
    return Burst(call_count, answered_count, hung_count, tuple(refusals), duration_s)
