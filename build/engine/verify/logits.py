"""Is it the endpoint of this bundle, and does it give the logits that decisions are read from, alone and under load?"""

import asyncio
from collections.abc import Sequence

import grpc
import numpy as np
from numpy.typing import NDArray

from archrouter.domain.errors import ArchRouterError, BackendProtocolError
from archrouter.domain.prompt import Prompt
from archrouter.inference import tensors
from archrouter.inference.language_model import scoring_inputs
from archrouter.inference.triton_client import TritonClient
from engine.program import NeedsMoreError
from engine.verify.endpoint import Endpoint, refusal_of
from engine.verify.questions import Question
from engine.verify.report import QUANTILE, Check, Thresholds, Verdict

CONTRACT, LOGITS, PARALLEL = "contract", "logits", "parallel_logits"

LOGITS_OFF_TEXT = "gather_generation_logits must be enabled"
"""What TensorRT-LLM's executor says to a request for logits that the TensorRT engine was not built to keep."""

_LOGITS_REMEDY = "build the TensorRT engine with --gather_generation_logits"
_NO_LOGITS_TEXT = "the answer has no generation_logits"
_MOST_PROMPTS = 16
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.DEADLINE_EXCEEDED)

Row = NDArray[np.float32]


async def check_contract(endpoint: Endpoint) -> Check:
    """Compare the model's tensors and its model_version with what the service will ask for."""
    expected = endpoint.bundle.profile.model_version
    limit = f"every tensor the service uses, and the bundle's model_version {expected}"
    try:
        parameters = await endpoint.connection.model_parameters(
            endpoint.model, tensors.LANGUAGE_MODEL, timeout_s=endpoint.call_timeout_s
        )
    except BackendProtocolError as error:
        remedy = "serve the config.pbtxt of this tree's model_repository"
        return Check(CONTRACT, Verdict.FAIL, str(error), limit, remedy)
    except ArchRouterError as error:
        raise _cannot_run(endpoint, error) from error
    served = parameters.get(tensors.PARAMETER_MODEL_VERSION, "")
    return Check.of(
        CONTRACT,
        f"every tensor, and model_version {served or 'not set'}",
        limit=limit,
        passed=served == expected,
        remedy="deploy the TensorRT engine and the bundle that were built together",
        figures={"served_model_version": served, "bundle_model_version": expected},
    )


async def check_logits(endpoint: Endpoint) -> Check:
    """Ask for one row of logits by the service's own recipe, and look at its shape and type."""
    limit = f"float32 [1, 1, 1, {endpoint.vocab_size}], all finite"
    try:
        logits = await _logits(endpoint, endpoint.connection, endpoint.sample_prompt)
    except ArchRouterError as error:
        refusal = refusal_of(error)
        if refusal.status in {status.name for status in _AWAY}:
            raise _cannot_run(endpoint, error) from error
        is_built_without = LOGITS_OFF_TEXT in refusal.text or refusal.text == _NO_LOGITS_TEXT
        remedy = _LOGITS_REMEDY if is_built_without else "see the server's log"
        measured = _NO_LOGITS_TEXT if refusal.text == _NO_LOGITS_TEXT else f"refused: {refusal}"
        return Check(LOGITS, Verdict.FAIL, measured, limit, remedy, {"status": refusal.status})
    finite, shape = bool(np.isfinite(logits).all()), list(logits.shape)
    return Check.of(
        LOGITS,
        f"{logits.dtype} {shape}, {'all finite' if finite else 'not all finite'}",
        limit=limit,
        passed=finite and logits.dtype == np.float32 and shape == [1, 1, 1, endpoint.vocab_size],
        remedy="build the TensorRT engine from this checkpoint, with --logits_dtype float32",
        figures={"dtype": str(logits.dtype), "shape": shape, "finite": finite},
    )


def _cannot_run(endpoint: Endpoint, error: ArchRouterError) -> NeedsMoreError:
    return NeedsMoreError(
        f"model {endpoint.model!r} at {endpoint.connection.endpoint} does not answer ({refusal_of(error)}; "
        f"--call-timeout-s {endpoint.call_timeout_s:g}); is it served there, under this name?"
    )


async def check_parallel_logits(
    endpoint: Endpoint, questions: Sequence[Question], thresholds: Thresholds, call_count: int
) -> Check:
    """Ask prompts one by one until they are cached, then together; calls that a full queue refuses do not count.

    Batches of other sizes take other kernels, which round sums in bfloat16 differently; and TensorRT-LLM 1.2 is known
    to mix up rows after the first among concurrent requests (NVIDIA/TensorRT-LLM issue 15444).
    """
    prompts = [
        endpoint.bundle.compiler.compile(question.policy_set).assemble(question.request.conversation)
        for question in questions[:_MOST_PROMPTS]
    ]
    for prompt in prompts:
        await _logits(endpoint, endpoint.connection, prompt)  # a first call computes what the second one reuses
    alone = [await _logits(endpoint, endpoint.connection, prompt) for prompt in prompts]
    connection = TritonClient(endpoint.connection.endpoint, max_concurrent_requests=call_count)
    try:
        calls = (_logits(endpoint, connection, prompts[index % len(prompts)]) for index in range(call_count))
        together = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await connection.close()
    pairs = [
        (alone[index % len(alone)].ravel(), row.ravel())
        for index, row in enumerate(together)
        if isinstance(row, np.ndarray)
    ]
    unexpected = [row for row in together if not isinstance(row, np.ndarray | ArchRouterError)]
    if unexpected:
        raise unexpected[0]
    return judge_parallel(pairs, thresholds)


def judge_parallel(pairs: Sequence[tuple[Row, Row]], thresholds: Thresholds) -> Check:
    """Judge rows of logits, float32 [V] each: alone, and among others."""
    most = thresholds.max_logit_difference
    limit = f"{QUANTILE:.0%} of the calls at most {most:g} off, and no other leader where the lead is larger than that"
    if not pairs:
        return Check(PARALLEL, Verdict.NOT_APPLICABLE, "the queue refused every call", limit)
    differences = [float(np.abs(alone - row).max()) for alone, row in pairs]
    bound = float(np.quantile(differences, QUANTILE))
    changed = sum(alone.argmax() != row.argmax() and _lead(alone) > most for alone, row in pairs)
    return Check.of(
        PARALLEL,
        f"largest difference of a logit {bound:.2g} for {QUANTILE:.0%} of {len(pairs)} calls, {changed} other leaders",
        limit=limit,
        passed=bound <= most and not changed,
        remedy="compare with one call at a time; rows that belong to other requests are a fault of the executor",
        figures={"quantile": bound, "largest": max(differences), "changed_leaders": int(changed), "calls": len(pairs)},
    )


def _lead(row: Row) -> float:
    second, first = np.partition(row, -2)[-2:]
    return float(first - second)


async def _logits(endpoint: Endpoint, connection: TritonClient, prompt: Prompt) -> Row:
    inputs, outputs = scoring_inputs(endpoint.bundle, prompt, ()), tensors.LANGUAGE_MODEL.outputs
    answer = await connection.infer(endpoint.model, inputs, outputs, timeout_s=endpoint.call_timeout_s)
    logits = answer.get(tensors.GENERATION_LOGITS.name)
    if logits is None:
        raise BackendProtocolError(_NO_LOGITS_TEXT)
    return logits
