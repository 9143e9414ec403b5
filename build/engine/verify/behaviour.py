"""Does the endpoint reuse what it has computed, keep its limits, stop when nobody waits, and refuse when full?"""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import NamedTuple

import grpc

from archrouter.domain.errors import ArchRouterError, BackendUnavailableError, OverloadedError
from archrouter.inference import tensors
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.triton_client import TritonClient
from archrouter.inference.triton_errors import QUEUE_FULL_TEXT
from engine.verify.endpoint import Endpoint, Refusal, refusal_of, wait_until_ready
from engine.verify.questions import Question
from engine.verify.report import Check, Verdict

KV_REUSE, PROMPT_LIMITS, CANCELLATION = "kv_reuse", "prompt_limits", "cancellation"
OVERLOAD, QUEUE_FULL = "overload", "queue_full_error"

PROMPT_TOO_LONG_TEXT = "exceeds maximum input length"
"""What TensorRT-LLM's executor says to a prompt that leaves no room for an answer."""

_RECOMPUTED_TOKENS = 2
"""The end of a prompt that a backend may compute again although it has seen it."""

_GENERATION_S = 2.0
_SHORTEST_GENERATION_S = 0.05
_CANCEL_TRY_COUNT = 5
"""A busy machine may delay a single call as long as a generation that goes on would."""

DEFAULT_CALL_COUNT = 128
_DOUBLING_COUNT = 3
_CALL_S = 0.1
"""About how long one call shall take, so that the queue fills faster than it drains."""

_FEWEST_TOKENS, _MOST_TOKENS = 8, 128


async def check_kv_reuse(endpoint: Endpoint, question: Question) -> Check:
    """Ask the same question twice and read the second one's counter of reused blocks."""
    backend = LanguageModelBackend(endpoint.connection, endpoint.model, endpoint.bundle)
    await backend.warm_up(timeout_s=endpoint.call_timeout_s)
    await backend.score(question.request, timeout_s=endpoint.call_timeout_s)
    usage = (await backend.score(question.request, timeout_s=endpoint.call_timeout_s)).usage
    blocks = usage.cached_token_count // tensors.TOKENS_PER_BLOCK
    least = (usage.prompt_token_count - _RECOMPUTED_TOKENS) // tensors.TOKENS_PER_BLOCK
    limit = f"at least {least} blocks of {tensors.TOKENS_PER_BLOCK} tokens, all that the prompt fills"
    if not least:
        return Check(KV_REUSE, Verdict.NOT_APPLICABLE, "the prompt does not fill a block", limit)
    return Check.of(
        KV_REUSE,
        f"the second identical prompt of {usage.prompt_token_count} tokens reused {blocks} blocks",
        limit=limit,
        passed=blocks >= least,
        remedy="build with --use_paged_context_fmha enable and serve with enable_kv_cache_reuse true",
        figures={"reused_blocks": blocks, "least": least, "prompt_tokens": usage.prompt_token_count},
    )


async def check_prompt_limits(endpoint: Endpoint) -> Check:
    """Send the longest prompt the bundle allows, and one that no TensorRT engine of this checkpoint can take."""
    longest = endpoint.bundle.profile.max_prompt_token_count
    fits = await _refusal(endpoint, longest)
    too_long = await _refusal(endpoint, endpoint.max_seq_len + 1)
    await endpoint.run_on(1)
    return Check.of(
        PROMPT_LIMITS,
        f"{longest} tokens: {fits or 'answered'}; {endpoint.max_seq_len + 1} tokens: {too_long or 'answered'}",
        limit=f"the first answered, the second refused with {PROMPT_TOO_LONG_TEXT!r}",
        passed=fits is None and too_long is not None and PROMPT_TOO_LONG_TEXT in too_long.text,
        remedy="build with --max_seq_len above the bundle's max_prompt_token_count",
        figures={"longest": longest, "too_long": endpoint.max_seq_len + 1, "refusal": str(too_long or "")},
    )


async def check_cancellation(endpoint: Endpoint) -> Check:
    """Cancel a long generation early, and time the next call."""
    room = endpoint.bundle.profile.max_prompt_token_count - len(endpoint.sample_prompt.ids)
    token_count = await endpoint.tokens_in(_GENERATION_S, fewest=1, most=room)
    started_s = time.perf_counter()
    await endpoint.run_on(token_count)
    whole_s = time.perf_counter() - started_s
    limit = f"the next call answered in less than half of the {whole_s:.2f} s that the cancelled one would take"
    if whole_s < _SHORTEST_GENERATION_S:
        reason = f"{token_count} tokens take {whole_s:.3f} s: too short to be interrupted"
        return Check(CANCELLATION, Verdict.NOT_APPLICABLE, reason, limit)
    waits_s = []
    for _ in range(_CANCEL_TRY_COUNT):
        waits_s.append(await _wait_after_cancel(endpoint, token_count, cancel_after_s=whole_s / 10))
        if waits_s[-1] < whole_s / 2:
            break
    return Check.of(
        CANCELLATION,
        f"after a cancelled generation the next call took {waits_s[-1]:.2f} s (try {len(waits_s)})",
        limit=limit,
        passed=waits_s[-1] < whole_s / 2,
        remedy="set cancellation_check_period_ms in config.pbtxt, and see the server's log",
        figures={"generation_s": whole_s, "waits_s": waits_s, "generation_tokens": token_count},
    )


async def _refusal(endpoint: Endpoint, token_count: int) -> Refusal | None:
    try:
        await endpoint.run_on(1, prompt=endpoint.prompt_of_length(token_count))
    except ArchRouterError as error:
        return refusal_of(error)
    return None


async def _wait_after_cancel(endpoint: Endpoint, token_count: int, *, cancel_after_s: float) -> float:
    """Start a generation, cancel it, and return how long the cancelling and the next call take together."""
    generation = asyncio.create_task(endpoint.run_on(token_count))
    await asyncio.sleep(cancel_after_s)
    started_s = time.perf_counter()
    generation.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await generation
    await endpoint.run_on(1)
    return time.perf_counter() - started_s


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


async def check_overload(endpoint: Endpoint, call_count: int) -> tuple[Check, Check]:
    """Make more and more calls at a time until the first is refused."""
    token_count = await endpoint.tokens_in(_CALL_S, fewest=_FEWEST_TOKENS, most=_MOST_TOKENS)
    burst = await _burst(endpoint, call_count, token_count)
    for _ in range(_DOUBLING_COUNT):
        if burst.refusals or burst.hung_count:
            break
        burst = await _burst(endpoint, 2 * burst.call_count, token_count)
    await endpoint.run_on(1)
    return judge_overload(burst), judge_queue_full(burst)


def judge_overload(burst: Burst) -> Check:
    """Say whether a burst went as it should."""
    answered, refused, hung = burst.answered_count, len(burst.refusals), burst.hung_count
    counts = {"calls": burst.call_count, "answered": answered, "refused": refused, "hung": hung}
    measured = f"of {burst.call_count} calls at once {answered} answered, {refused} refused, {hung} without answer"
    measured += f", in {burst.duration_s:.1f} s"
    if burst.unknown:
        measured += f"; other errors: {burst.unknown[0]}"
    return Check.of(
        OVERLOAD,
        measured,
        limit="some refused because the queue is full, the others answered, none hangs",
        passed=bool(refused and answered) and not hung and not burst.unknown,
        remedy="bound the queue (max_queue_size in config.pbtxt); where it is longer, raise --overload-calls",
        figures={**counts, "duration_s": burst.duration_s, "other_errors": burst.unknown},
    )


def judge_queue_full(burst: Burst) -> Check:
    """Say whether the service understands the refusals."""
    limit = "; ".join(f"{way.status.name} {way.text!r} becomes {way.error.__name__}" for way in WAYS)
    if not burst.refusals:
        return Check(QUEUE_FULL, Verdict.NOT_APPLICABLE, "no call was refused", limit)
    ways = [(_way_of(refusal), error, f"{refusal} became {error.__name__}") for refusal, error in burst.refusals]
    wrong = sorted(text for way, error, text in ways if way is None or error is not way.error)
    return Check.of(
        QUEUE_FULL,
        wrong[0] if wrong else ways[0][2],
        limit=limit,
        passed=not wrong,
        remedy="teach archrouter.inference.triton_errors this server's words",
        figures={
            "servers": sorted({way.server for way, _, _ in ways if way}),
            "wrong": wrong,
            "first": str(burst.refusals[0][0]),
        },
    )


def _way_of(refusal: Refusal) -> QueueFull | None:
    return next((way for way in WAYS if way.status.name == refusal.status and way.text in refusal.text), None)


async def _burst(endpoint: Endpoint, call_count: int, token_count: int) -> Burst:
    # A connection of its own: the endpoint's lets fewer calls through at a time than a queue takes.
    connection = TritonClient(endpoint.connection.endpoint, max_concurrent_requests=call_count)
    try:
        await wait_until_ready(connection, endpoint.model, timeout_s=endpoint.call_timeout_s)
        started_s = time.perf_counter()
        calls = (endpoint.run_on(token_count, connection=connection) for _ in range(call_count))
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
