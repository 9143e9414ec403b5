"""Does a call get the same logits alone and among many at once?

Batches of other sizes take other kernels, which round sums in bfloat16 differently; and TensorRT-LLM 1.2 is known to
mix up rows after the first among concurrent requests (NVIDIA/TensorRT-LLM issue 15444); a single row must be clean.
"""

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.errors import ArchRouterError, BackendProtocolError
from archrouter.domain.prompt import Prompt
from archrouter.inference import tensors
from archrouter.inference.language_model import scoring_inputs
from archrouter.inference.triton_client import TritonClient
from engine.verify.questions import Question
from engine.verify.report import QUANTILE, Check, Thresholds, Verdict
from engine.verify.served import ServedEngine

PARALLEL = "parallel_logits"

_MOST_PROMPTS = 16

Row = NDArray[np.float32]


async def check_parallel_logits(
    engine: ServedEngine, questions: Sequence[Question], thresholds: Thresholds, call_count: int
) -> Check:
    """Ask prompts one by one until they are cached, then together; calls that a full queue refuses do not count."""
    prompts = [
        engine.bundle.compiler.compile(question.policy_set).assemble(question.request.conversation)
        for question in questions[:_MOST_PROMPTS]
    ]
    for prompt in prompts:
        await _row(engine, engine.connection, prompt)  # a first call computes what the second one reuses
    alone = [await _row(engine, engine.connection, prompt) for prompt in prompts]
    connection = TritonClient(engine.connection.endpoint, max_concurrent_requests=call_count)
    try:
        calls = (_row(engine, connection, prompts[index % len(prompts)]) for index in range(call_count))
        together = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await connection.close()
    pairs = [(alone[index % len(alone)], row) for index, row in enumerate(together) if isinstance(row, np.ndarray)]
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


async def _row(engine: ServedEngine, connection: TritonClient, prompt: Prompt) -> Row:
    inputs = scoring_inputs(engine.bundle, prompt, ())
    outputs = tensors.LANGUAGE_MODEL.outputs
    result = await connection.infer(engine.model, inputs, outputs, timeout_s=engine.call_timeout_s)
    logits: Row | None = result.as_numpy(tensors.GENERATION_LOGITS.name)
    if logits is None:
        msg = "the answer has no generation_logits"
        raise BackendProtocolError(msg)
    return logits.ravel()
