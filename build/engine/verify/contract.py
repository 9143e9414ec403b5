"""Is it this bundle's engine, and does it give the row of logits that a decision is read from?"""

import numpy as np
from tritonclient.grpc import InferResult

from archrouter.domain.errors import ArchRouterError, BackendProtocolError
from archrouter.inference import tensors
from archrouter.inference.language_model import scoring_inputs
from engine.verify.report import CannotRunError, Check, Verdict
from engine.verify.served import ServedEngine, is_away, refusal_of

CONTRACT, LOGITS = "contract", "logits"

LOGITS_OFF_TEXT = "gather_generation_logits must be enabled"
"""What TensorRT-LLM's executor says to a request for logits that the engine was not built to keep."""


async def check_contract(engine: ServedEngine) -> Check:
    """Compare the model's tensors and its model_version with what the service will ask for."""
    expected = engine.bundle.profile.model_version
    limit = f"every tensor the service uses, and the bundle's model_version {expected}"
    try:
        parameters = await engine.connection.model_parameters(
            engine.model, tensors.LANGUAGE_MODEL, timeout_s=engine.call_timeout_s
        )
    except BackendProtocolError as error:
        remedy = "serve the config.pbtxt of this tree's model_repository"
        return Check(CONTRACT, Verdict.FAIL, str(error), limit, remedy)
    except ArchRouterError as error:
        raise _cannot_run(engine, error) from error
    served = parameters.get(tensors.PARAMETER_MODEL_VERSION, "")
    return Check.of(
        CONTRACT,
        f"every tensor, and model_version {served or 'not set'}",
        limit=limit,
        passed=served == expected,
        remedy="deploy the engine and the bundle that were built together",
        figures={"served_model_version": served, "bundle_model_version": expected},
    )


async def check_logits(engine: ServedEngine) -> Check:
    """Ask for one row of logits by the service's own recipe, and look at its shape and type."""
    limit = f"float32 [1, 1, 1, {engine.vocab_size}], all finite"
    try:
        result = await engine.connection.infer(
            engine.model,
            scoring_inputs(engine.bundle, engine.sample_prompt, ()),
            tensors.LANGUAGE_MODEL.outputs,
            timeout_s=engine.call_timeout_s,
        )
    except ArchRouterError as error:
        if is_away(error):
            raise _cannot_run(engine, error) from error
        refusal = refusal_of(error)
        remedy = "see the server's log"
        if LOGITS_OFF_TEXT in refusal.text:
            remedy = "build the engine with --gather_generation_logits"
        return Check(LOGITS, Verdict.FAIL, f"refused: {refusal}", limit, remedy, {"status": refusal.status})
    return _look_at(result, engine.vocab_size, limit)


def _look_at(result: InferResult, vocab_size: int, limit: str) -> Check:
    logits = result.as_numpy(tensors.GENERATION_LOGITS.name)
    if logits is None:
        remedy = "build the engine with --gather_generation_logits"
        return Check(LOGITS, Verdict.FAIL, "the answer has no generation_logits", limit, remedy)
    finite = bool(np.isfinite(logits).all())
    shape = list(logits.shape)
    return Check.of(
        LOGITS,
        f"{logits.dtype} {shape}, {'all finite' if finite else 'not all finite'}",
        limit=limit,
        passed=finite and logits.dtype == np.float32 and shape == [1, 1, 1, vocab_size],
        remedy="build the engine from this checkpoint, with --logits_dtype float32",
        figures={"dtype": str(logits.dtype), "shape": shape, "finite": finite},
    )


def _cannot_run(engine: ServedEngine, error: ArchRouterError) -> CannotRunError:
    return CannotRunError(
        f"model {engine.model!r} at {engine.connection.endpoint} does not answer ({refusal_of(error)}; "
        f"--call-timeout-s {engine.call_timeout_s:g}); is it served there, under this name?"
    )
