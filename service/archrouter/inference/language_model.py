"""A causal language model: the posterior over the candidates from one row of logits a call.

The tensors are those of TensorRT-LLM 1.2.1's C++ backend; ``reference_lm`` serves the same on the CPU.
"""

import asyncio
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archrouter.application.ports import StartStep
from archrouter.domain.errors import ArchRouterError, BackendProtocolError, ModelNotReadyError
from archrouter.domain.expansion import DEFAULT_EPSILON, Expansion
from archrouter.domain.policy import PolicySet
from archrouter.domain.prompt import CompiledPrompt, Prompt
from archrouter.domain.scoring import BackendProfile, Scoring, ScoringRequest, StageTimes, Usage
from archrouter.domain.tokens import TokenIds
from archrouter.inference import tensors
from archrouter.inference.bundle import Bundle
from archrouter.inference.model_checks import check_language_model
from archrouter.inference.per_policy_set import WARM_UP, PerPolicySet
from archrouter.inference.triton_client import NamedArray, Outputs, TritonClient, output_array, scalar
from archrouter.inference.triton_errors import RETRY_AFTER_S

_PINNED_PRIORITY = 100
"""Highest retention priority: the policies' KV blocks are evicted last."""

PIN_DURATION_MS = 600_000
"""A policy set that nobody asks for loses its blocks' priority after ten minutes; each call renews it."""

_NANOSECONDS = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """One call's answer: the row of logits [V], reused tokens, and the time the executor let it wait."""

    row: NDArray[np.float32]
    reused_token_count: int
    queue_s: float


class LanguageModelBackend:
    """Scores by asking for next-token logits where the candidates' answers part."""

    def __init__(
        self,
        connection: TritonClient,
        model: str,
        bundle: Bundle,
        *,
        epsilon: float = DEFAULT_EPSILON,
        start_step: StartStep = nullcontext,
    ) -> None:
        """Bind a bundle to the model that serves its weights.

        Args:
            connection: To the Triton that serves it.
            model: Its name there.
            bundle: The prompt and tokenizer its weights were trained with.
            epsilon: Mass at or below which a subtree of answers is not asked for, in [0, 1).
            start_step: Marks the step ``tokenize`` in a trace.
        """
        self._connection = connection
        self._model = model
        self._bundle = bundle
        self._epsilon = epsilon
        self._start_step = start_step
        self._checked_config: Any = None  # `ModelConfig`; None while no warm-up has succeeded
        self._compiled: PerPolicySet[CompiledPrompt] = PerPolicySet()
        self._compiling = asyncio.Lock()

    async def warm_up(self, *, timeout_s: float) -> BackendProfile:
        """Check that Triton serves this bundle's weights, and score once; see `Model.warm_up`.

        No call is scored before the first success, nor after a failure until the next one.
        """
        try:
            config = await self._connection.model_config(self._model, timeout_s=timeout_s)
            check_language_model(config, self._bundle)
            await self._score(WARM_UP, timeout_s=timeout_s)
        except BaseException:
            self._checked_config = None
            raise
        self._checked_config = config
        return self._bundle.profile

    async def is_ready(self, *, timeout_s: float) -> bool | None:
        """Ask Triton whether the model would answer and is still the one that was checked, not one loaded since."""
        try:
            ready, config = await asyncio.gather(
                self._connection.is_model_ready(self._model, timeout_s=timeout_s),
                self._connection.model_config(self._model, timeout_s=timeout_s),
            )
        except ModelNotReadyError:
            return False
        except ArchRouterError:
            return None
        return ready and config == self._checked_config

    async def prepare(self, policy_set: PolicySet) -> None:
        """Tokenise the policies and build the candidate trie; see `ScoringBackend.prepare`."""
        self._compiled.hold(policy_set, await self._compile(policy_set))

    def release(self, policy_set: PolicySet) -> None:
        """Forget what was compiled."""
        self._compiled.release(policy_set)

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """Expand the trie of answers, all calls of one depth together; see `ScoringBackend.score`."""
        if self._checked_config is None:
            msg = f"model {self._model!r} has not answered its warm-up call yet"
            raise ModelNotReadyError(msg, retry_after_s=RETRY_AFTER_S)
        return await self._score(request, timeout_s=timeout_s)

    async def reconnect(self) -> None:
        """Drop the connection; see `Model.reconnect`."""
        self._checked_config = None
        await self._connection.reconnect()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        started_s = time.perf_counter()
        held = self._compiled.held.get(request.policy_set.revision)
        is_loaded = held is not None
        with self._start_step("tokenize"):
            compiled = held or await self._compile_inline(request.policy_set)
            prompt = await _assemble(compiled, request)
        tokenized_s = time.perf_counter()
        expansion = Expansion.start(compiled.trie, vocab_size=compiled.vocab_size, epsilon=self._epsilon)
        first_reused, queue_s = 0, 0.0
        while expansion.paths:
            requests = [scoring_inputs(self._bundle, prompt, path, pinned=is_loaded) for path in expansion.paths]
            answers = await self._ask(requests, timeout_s=timeout_s - (time.perf_counter() - started_s))
            self._check_width(answers[0].row)
            if expansion.call_count == 0:
                first_reused = answers[0].reused_token_count
            queue_s += max(answer.queue_s for answer in answers)
            expansion = expansion.advance([answer.row for answer in answers])
        prompt_token_count = len(prompt.ids) + len(compiled.trie.forced)
        return Scoring(
            posterior=expansion.posterior,
            profile=self._bundle.profile,
            usage=Usage(
                prompt_token_count=prompt_token_count,
                engine_call_count=expansion.call_count,
                cached_token_count=min(first_reused, prompt_token_count),
                dropped_message_count=prompt.dropped_message_count,
                dropped_token_count=prompt.dropped_token_count,
            ),
            times=StageTimes(
                tokenize_s=tokenized_s - started_s,
                queue_s=queue_s,
                inference_s=max(time.perf_counter() - tokenized_s - queue_s, 0.0),
            ),
            on_trie_mass=expansion.on_trie_mass,
            longer_list_mass=expansion.longer_list_mass,
        )

    async def _compile(self, policy_set: PolicySet) -> CompiledPrompt:
        compiled = self._compiled.get(policy_set)
        if compiled is None:
            compiled = await asyncio.to_thread(self._bundle.compiler.compile, policy_set)
        return compiled

    async def _compile_inline(self, policy_set: PolicySet) -> CompiledPrompt:
        async with self._compiling:  # equal sets that arrive together are compiled once
            return self._compiled.get(policy_set) or self._compiled.put(policy_set, await self._compile(policy_set))

    def _check_width(self, row: NDArray[np.float32]) -> None:
        """Refuse a row of another width than the vocabulary of the bundle's TensorRT engine: it is another engine's."""
        engine = self._bundle.engine
        if engine is not None and row.size != engine.vocab_size:
            msg = (
                f"a row of logits has {row.size} values, "
                f"the bundle's TensorRT engine a vocabulary of {engine.vocab_size}; "
                "deploy the TensorRT engine and the bundle that were built together"
            )
            raise BackendProtocolError(msg)

    async def _ask(self, requests: list[list[NamedArray]], *, timeout_s: float) -> list[_Answer]:
        """Make all calls of one depth together; the first that fails cancels the others."""
        try:
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(self._call(inputs, timeout_s=timeout_s)) for inputs in requests]
        except BaseExceptionGroup as failures:
            first = failures.exceptions[0]
            raise first from first.__cause__  # what Triton said, instead of the group
        return [call.result() for call in calls]

    async def _call(self, inputs: list[NamedArray], *, timeout_s: float) -> _Answer:
        return _answer(
            await self._connection.infer(self._model, inputs, tensors.LANGUAGE_MODEL.outputs, timeout_s=timeout_s)
        )


async def _assemble(compiled: CompiledPrompt, request: ScoringRequest) -> Prompt:
    """Tokenise a conversation: a long one takes milliseconds, and in a thread it does not hold up other calls."""
    abandoned = threading.Event()
    try:
        return await asyncio.to_thread(compiled.assemble, request.conversation, request.overflow, abandoned.is_set)
    finally:
        abandoned.set()  # the thread of a cancelled call goes no further


def scoring_inputs(bundle: Bundle, prompt: Prompt, path: TokenIds, *, pinned: bool = False) -> list[NamedArray]:
    """Write one request by the wire recipe: tokens [1, N], scalars [1, 1], one new token, its raw logits.

    Args:
        bundle: Of the model that is asked.
        prompt: The prompt.
        path: Tokens of the answer that are taken as given.
        pinned: Whether the KV blocks of the policies are to outlive others; for loaded policy sets only, since every
            inline set would pin its own.

    Returns:
        The inputs.
    """
    ids = np.array([prompt.ids + path], dtype=np.int32)
    return [
        NamedArray(tensors.INPUT_IDS, ids),
        scalar(tensors.INPUT_LENGTHS, ids.shape[1], np.int32),
        scalar(tensors.REQUEST_OUTPUT_LEN, 1, np.int32),
        scalar(tensors.END_ID, bundle.end_id, np.int32),
        scalar(tensors.PAD_ID, bundle.pad_id, np.int32),
        scalar(tensors.RUNTIME_TOP_K, 1, np.int32),
        scalar(tensors.TEMPERATURE, 1.0, np.float32),
        scalar(tensors.RETURN_GENERATION_LOGITS, value=True, dtype=np.bool_),
        scalar(tensors.RETURN_PERF_METRICS, value=True, dtype=np.bool_),
        scalar(tensors.EXCLUDE_INPUT_IN_OUTPUT, value=True, dtype=np.bool_),
        *(_retention(prompt.prefix_token_count) if pinned else ()),
    ]


def _retention(prefix_token_count: int) -> list[NamedArray]:
    """Pin the blocks that all requests of a policy set share, and no other.

    A block is pinned when its first token lies in the range (TensorRT-LLM, ``KvCacheRetentionConfig``), so the range
    ends with the last whole block: the next one holds words of one conversation and would stay for nobody.
    """
    shared_token_count = prefix_token_count // tensors.TOKENS_PER_BLOCK * tensors.TOKENS_PER_BLOCK
    if not shared_token_count:
        return []
    return [
        scalar(tensors.RETENTION_STARTS, 0, np.int32),
        scalar(tensors.RETENTION_ENDS, shared_token_count, np.int32),
        scalar(tensors.RETENTION_PRIORITIES, _PINNED_PRIORITY, np.int32),
        scalar(tensors.RETENTION_DURATIONS_MS, PIN_DURATION_MS, np.int32),
    ]


def _answer(outputs: Outputs) -> _Answer:
    logits = outputs.get(tensors.GENERATION_LOGITS.name)
    if logits is None:
        msg = "output 'generation_logits' is missing; build the TensorRT engine with --gather_generation_logits"
        raise BackendProtocolError(msg)
    if logits.ndim != 4 or logits.shape[:3] != (1, 1, 1) or logits.dtype != np.float32:  # noqa: PLR2004  # [1, beam, new, V]
        msg = (
            f"output 'generation_logits' is {logits.dtype} {list(logits.shape)}, the contract says float32 [1, 1, 1, V]"
        )
        raise BackendProtocolError(msg)
    reused = int(output_array(outputs, tensors.KV_REUSED_BLOCKS, (1, 1), np.int32)[0, 0])
    arrival = int(output_array(outputs, tensors.ARRIVAL_TIME_NS, (1, 1), np.int64)[0, 0])
    scheduled = int(output_array(outputs, tensors.FIRST_SCHEDULED_TIME_NS, (1, 1), np.int64)[0, 0])
    return _Answer(
        row=logits[0, 0, 0],
        reused_token_count=reused * tensors.TOKENS_PER_BLOCK,
        queue_s=max(scheduled - arrival, 0) * _NANOSECONDS,
    )
