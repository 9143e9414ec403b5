"""Does the engine reuse what it has computed, keep its limits, and stop when nobody waits any more?"""

import asyncio
import contextlib
import time

from archrouter.domain.errors import ArchRouterError
from archrouter.inference import tensors
from archrouter.inference.language_model import LanguageModelBackend
from engine.verify.questions import Question
from engine.verify.report import Check, Verdict
from engine.verify.served import Refusal, ServedEngine, refusal_of

KV_REUSE, PROMPT_LIMITS, CANCELLATION = "kv_reuse", "prompt_limits", "cancellation"

PROMPT_TOO_LONG_TEXT = "exceeds maximum input length"
"""What TensorRT-LLM's executor says to a prompt that leaves no room for an answer."""

_RECOMPUTED_TOKENS = 2
"""The end of a prompt that a backend may compute again although it has seen it."""

_GENERATION_S = 2.0
_SHORTEST_GENERATION_S = 0.05
_CANCEL_TRY_COUNT = 5
"""A busy machine may delay a single call as long as a generation that goes on would."""


async def check_kv_reuse(engine: ServedEngine, question: Question) -> Check:
    """Ask the same question twice and read the second one's counter of reused blocks."""
    backend = LanguageModelBackend(engine.connection, engine.model, engine.bundle)
    await backend.warm_up(timeout_s=engine.call_timeout_s)
    await backend.score(question.request, timeout_s=engine.call_timeout_s)
    usage = (await backend.score(question.request, timeout_s=engine.call_timeout_s)).usage
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


async def check_prompt_limits(engine: ServedEngine) -> Check:
    """Send the longest prompt the bundle allows, and one that no engine of this checkpoint can take."""
    longest = engine.bundle.profile.max_prompt_token_count
    fits = await _refusal(engine, longest)
    too_long = await _refusal(engine, engine.max_seq_len + 1)
    await engine.run_on(1)
    return Check.of(
        PROMPT_LIMITS,
        f"{longest} tokens: {fits or 'answered'}; {engine.max_seq_len + 1} tokens: {too_long or 'answered'}",
        limit=f"the first answered, the second refused with {PROMPT_TOO_LONG_TEXT!r}",
        passed=fits is None and too_long is not None and PROMPT_TOO_LONG_TEXT in too_long.text,
        remedy="build with --max_seq_len above the bundle's max_prompt_token_count",
        figures={"longest": longest, "too_long": engine.max_seq_len + 1, "refusal": str(too_long or "")},
    )


async def check_cancellation(engine: ServedEngine) -> Check:
    """Cancel a long generation early, and time the next call."""
    room = engine.bundle.profile.max_prompt_token_count - len(engine.sample_prompt.ids)
    token_count = await engine.tokens_in(_GENERATION_S, fewest=1, most=room)
    started_s = time.perf_counter()
    await engine.run_on(token_count)
    whole_s = time.perf_counter() - started_s
    limit = f"the next call answered in less than half of the {whole_s:.2f} s that the cancelled one would take"
    if whole_s < _SHORTEST_GENERATION_S:
        reason = f"{token_count} tokens take {whole_s:.3f} s: too short to be interrupted"
        return Check(CANCELLATION, Verdict.NOT_APPLICABLE, reason, limit)
    waits_s = []
    for _ in range(_CANCEL_TRY_COUNT):
        waits_s.append(await _wait_after_cancel(engine, token_count, cancel_after_s=whole_s / 10))
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


async def _refusal(engine: ServedEngine, token_count: int) -> Refusal | None:
    try:
        await engine.run_on(1, prompt=engine.prompt_of_length(token_count))
    except ArchRouterError as error:
        return refusal_of(error)
    return None


async def _wait_after_cancel(engine: ServedEngine, token_count: int, *, cancel_after_s: float) -> float:
    """Start a generation, cancel it, and return how long the cancelling and the next call take together."""
    generation = asyncio.create_task(engine.run_on(token_count))
    await asyncio.sleep(cancel_after_s)
    started_s = time.perf_counter()
    generation.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await generation
    await engine.run_on(1)
    return time.perf_counter() - started_s
