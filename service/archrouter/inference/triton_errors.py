"""Triton's failures as domain errors: one map, by status, with two documented exceptions by text."""

import grpc
from grpc import aio

from archrouter.domain.errors import (
    ArchRouterError,
    BackendProtocolError,
    BackendUnavailableError,
    BudgetExceededError,
    ModelNotReadyError,
    OverloadedError,
)

RETRY_AFTER_S = 1.0
"""Advised wait when the server is away: about as long as a Triton on this machine takes to come back."""

QUEUE_FULL_TEXT = "Maximum queue size of"
"""TensorRT-LLM's executor reports a full queue as INTERNAL with this text (executorImpl.cpp, 1.x): no status tells."""

LOGITS_NOT_GATHERED_TEXT = "gather_generation_logits must be enabled"
"""Part of the executor's refusal, also INTERNAL, of a TensorRT engine that was built without logits (same file)."""

_UNAVAILABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,  # by the server: it is shutting down; our own cancellation never arrives here
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,  # the model failed on this call; the next one may succeed elsewhere
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
    }
)


def domain_error(model: str, error: aio.AioRpcError) -> ArchRouterError:
    """Translate what became of a call to a Triton model, to the most specific error of the tree."""
    status, said = error.code(), error.details() or ""
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return BudgetExceededError(remaining_s=0.0)
    if status is grpc.StatusCode.NOT_FOUND:
        return ModelNotReadyError(f"the inference server has no model {model!r}", retry_after_s=RETRY_AFTER_S)
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED or QUEUE_FULL_TEXT in said:
        return OverloadedError(f"the queue of model {model!r} is full", retry_after_s=RETRY_AFTER_S)
    if LOGITS_NOT_GATHERED_TEXT in said:
        msg = (
            f"model {model!r} returns no generation logits; rebuild its TensorRT engine with --gather_generation_logits"
        )
        return BackendProtocolError(msg)
    if status in _UNAVAILABLE:
        return BackendUnavailableError(f"model {model!r} did not answer ({status.name})", retry_after_s=RETRY_AFTER_S)
    return BackendProtocolError(f"model {model!r} refused the call ({status.name}): {said}")


def cause_of(error: ArchRouterError) -> str:
    """Say for the log what stands behind an error, in the words of the inference server; empty for nothing."""
    cause = error.__cause__
    if isinstance(cause, aio.AioRpcError):
        return f"{cause.code().name}: {cause.details() or ''}"
    return "" if cause is None else str(cause)
