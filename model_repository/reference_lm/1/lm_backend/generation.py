"""Greedy generation over a KV state, step by step, with the engine's order of operations on the logits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

import numpy as np

from lm_backend.errors import CancelledCallError, generation_logits_off, prompt_too_long
from lm_backend.prefix_cache import FloatArray, IntArray, PrefixCache, Sequence, State
from lm_backend.requests import GenerationRequest

# TensorRT-LLM multiplies the logits by 1 / (temperature + 1e-6).
TEMPERATURE_OFFSET = 1e-6


@dataclass(frozen=True, slots=True)
class Generation:
    """What one call produced.

    Attributes:
        tokens: The answer without the end token, int32 ``[L]``.
        log_probs: Natural-log probability of each of them over the full vocabulary, float32 ``[L]``.
        cum_log_prob: Their sum, and the end token's where it was chosen.
        logits: Raw logits of each step, float32 ``[max_new_tokens, vocabulary]``, zeros after the last step; ``[0, 0]``
            where they were not asked for.
        reused_tokens: Prompt tokens taken from the prefix cache.
        scheduled_ns: Steady-clock time at which the call's turn came.
        first_token_ns: The same for its first token.
        last_token_ns: The same for its last token.
    """

    tokens: IntArray
    log_probs: FloatArray
    cum_log_prob: float
    logits: FloatArray
    reused_tokens: int
    scheduled_ns: int
    first_token_ns: int
    last_token_ns: int


class GreedyExecutor(Generic[State]):
    """Runs one call at a time over the prefix cache."""

    def __init__(
        self, cache: PrefixCache[State], *, max_seq_len: int, prefill_chunk_tokens: int, gather_generation_logits: bool
    ) -> None:
        """Take the cache and the limits of ``Settings``; ``max_seq_len`` must be at least 2."""
        self._cache = cache
        self._max_seq_len = max_seq_len
        self._prefill_chunk_tokens = prefill_chunk_tokens
        self._gather_generation_logits = gather_generation_logits

    def run(self, request: GenerationRequest, is_cancelled: Callable[[], bool]) -> Generation:
        """Answer a call.

        Args:
            request: The call.
            is_cancelled: Asked before each piece of the prompt and before each token.

        Returns:
            The answer.

        Raises:
            ExecutorError: The prompt is too long, or logits are asked for and not kept.
            CancelledCallError: The caller has gone; what was read stays in the cache.
        """
        scheduled_ns = time.monotonic_ns()
        self._check(request)
        lease = self._cache.lease(request.input_ids, request.pinned_tokens, request.pin_duration_ms)
        try:
            self._prefill(lease.sequence, request.input_ids[lease.reused_tokens :], is_cancelled)
            return self._decode(lease.sequence, request, is_cancelled, lease.reused_tokens, scheduled_ns)
        except CancelledCallError:
            raise
        except Exception:
            # A step that failed half-way leaves a state that holds neither the old tokens nor the new ones.
            self._cache.discard(lease.sequence)
            raise

    def _check(self, request: GenerationRequest) -> None:
        """Refuse what the executor refuses on arrival."""
        if len(request.input_ids) > self._max_seq_len - 1:
            raise prompt_too_long(len(request.input_ids), self._max_seq_len - 1)
        if request.return_generation_logits and not self._gather_generation_logits:
            raise generation_logits_off()

    def _prefill(self, sequence: Sequence[State], tokens: IntArray, is_cancelled: Callable[[], bool]) -> None:
        """Read the rest of the prompt in pieces; the last one has at least two tokens unless the prompt has one.

        The prefix cache says why a piece of one token would differ in the last bits.
        """
        starts = list(range(0, len(tokens), self._prefill_chunk_tokens))
        if len(starts) > 1 and len(tokens) - starts[-1] == 1:
            starts.pop()
        for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
            _stop_if(is_cancelled)
            sequence.append(tokens[start:end])

    def _decode(
        self,
        sequence: Sequence[State],
        request: GenerationRequest,
        is_cancelled: Callable[[], bool],
        reused_tokens: int,
        scheduled_ns: int,
    ) -> Generation:
        """Choose tokens until the end token or the most that is allowed."""
        max_new_tokens = min(request.max_new_tokens, self._max_seq_len - len(request.input_ids))
        rows: list[FloatArray] = []
        tokens: list[int] = []
        log_probs: list[float] = []
        times_ns: list[int] = []
        for step in range(max_new_tokens):
            _stop_if(is_cancelled)
            if step:
                sequence.append(np.array(tokens[-1:], np.int32))
            row = sequence.state.last_logits()
            token, log_prob = choose(row, request.embedding_bias, request.temperature)
            times_ns.append(time.monotonic_ns())
            rows.append(row)
            log_probs.append(log_prob)
            if token == request.end_id:
                break
            tokens.append(token)
        return Generation(
            tokens=np.array(tokens, np.int32),
            log_probs=np.array(log_probs[: len(tokens)], np.float32),
            cum_log_prob=float(sum(log_probs)),
            logits=stack_rows(rows, max_new_tokens)
            if request.return_generation_logits
            else np.zeros((0, 0), np.float32),
            reused_tokens=reused_tokens,
            scheduled_ns=scheduled_ns,
            first_token_ns=times_ns[0],
            last_token_ns=times_ns[-1],
        )


def choose(logits: FloatArray, bias: FloatArray, temperature: float) -> tuple[int, float]:
    """Choose the most likely token.

    Args:
        logits: Raw logits, float32 ``[vocabulary]``.
        bias: Added first, float32 ``[vocabulary]`` or ``[0]`` for none.
        temperature: Divides then, above 0.

    Returns:
        The token, the lowest id among equals, and its natural-log probability over the full vocabulary.
    """
    scores = logits.astype(np.float64)
    if len(bias):
        scores += bias
    scores /= temperature + TEMPERATURE_OFFSET
    token = int(scores.argmax())
    return token, float(-np.log(np.exp(scores - scores[token]).sum()))


def stack_rows(rows: list[FloatArray], row_count: int) -> FloatArray:
    """Put the steps' logits into a buffer of the full length, as the executor does; what was not reached stays 0.

    Args:
        rows: One row a step, float32 ``[vocabulary]``, at least one.
        row_count: ``request_output_len``.

    Returns:
        Float32 ``[row_count, vocabulary]``.
    """
    stacked = np.zeros((row_count, len(rows[0])), np.float32)
    stacked[: len(rows)] = rows
    return stacked


def _stop_if(is_cancelled: Callable[[], bool]) -> None:
    """Raise where the caller has gone."""
    if is_cancelled():
        message = "the call was cancelled before its answer was complete"
        raise CancelledCallError(message)
