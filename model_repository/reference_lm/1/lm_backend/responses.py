"""The tensors of an answer, shaped as the C++ backend shapes them: a batch of one, one beam."""

import numpy as np
import numpy.typing as npt

from lm_backend.errors import required_output_missing
from lm_backend.generation import Generation
from lm_backend.requests import GenerationRequest

REQUIRED_OUTPUTS = ("output_ids", "sequence_length")
# The engine is built with blocks of this many tokens; the counters count them.
TOKENS_PER_BLOCK = 32


def build_outputs(
    request: GenerationRequest, generation: Generation, *, arrival_ns: int, normalize_log_probs: bool
) -> dict[str, npt.NDArray[np.generic]]:
    """Build the outputs of a call: those it asked for that have a value.

    Args:
        request: The call.
        generation: What it produced.
        arrival_ns: Steady-clock time at which Triton handed the call over.
        normalize_log_probs: Whether ``output_log_probs`` are normalised inside the top 1, so all 0.

    Returns:
        Output name to value, each with a leading batch dimension of 1.

    Raises:
        ResponseError: The client's list of outputs lacks ``output_ids`` or ``sequence_length``.
    """
    for name in REQUIRED_OUTPUTS:
        if name not in request.requested_outputs:
            raise required_output_missing(name)
    prompt = np.zeros(0, np.int32) if request.exclude_input_in_output else request.input_ids
    output_ids = np.concatenate((prompt, generation.tokens))
    outputs: dict[str, npt.NDArray[np.generic]] = {
        "output_ids": output_ids.reshape(1, 1, -1),
        "sequence_length": np.array([[len(output_ids)]], np.int32),
    }
    if request.return_log_probs:
        log_probs = np.zeros_like(generation.log_probs) if normalize_log_probs else generation.log_probs
        outputs["output_log_probs"] = log_probs.reshape(1, 1, -1)
        outputs["cum_log_probs"] = np.array([[generation.cum_log_prob]], np.float32)
    if request.return_generation_logits:
        outputs["generation_logits"] = generation.logits[np.newaxis, np.newaxis]
    if request.return_num_input_tokens:
        outputs["num_input_tokens"] = np.array([[len(request.input_ids)]], np.int32)
    if request.return_num_output_tokens:
        outputs["num_output_tokens"] = np.array([[len(output_ids)]], np.int32)
    if request.return_perf_metrics:
        outputs |= _perf_metrics(len(request.input_ids), generation, arrival_ns)
    return {name: value for name, value in outputs.items() if name in request.requested_outputs}


def _perf_metrics(
    prompt_tokens: int, generation: Generation, arrival_ns: int
) -> dict[str, npt.NDArray[np.int32] | npt.NDArray[np.int64] | npt.NDArray[np.float32]]:
    """Count the prompt's blocks and report the times.

    Only whole blocks count as reused, so blocks times 32 never exceeds the tokens that were really reused. (The engine
    also counts a last block that it reused in part.)
    """
    reused_blocks = generation.reused_tokens // TOKENS_PER_BLOCK
    new_blocks = -(-prompt_tokens // TOKENS_PER_BLOCK) - reused_blocks
    counts = {
        "kv_cache_reused_blocks": reused_blocks,
        "kv_cache_alloc_new_blocks": new_blocks,
        "kv_cache_alloc_total_blocks": new_blocks,
        "total_accepted_draft_tokens": 0,
        "total_draft_tokens": 0,
    }
    times_ns = {
        "arrival_time_ns": arrival_ns,
        "first_scheduled_time_ns": generation.scheduled_ns,
        "first_token_time_ns": generation.first_token_ns,
        "last_token_time_ns": generation.last_token_ns,
    }
    return {
        **{name: np.array([[count]], np.int32) for name, count in counts.items()},
        **{name: np.array([[time_ns]], np.int64) for name, time_ns in times_ns.items()},
        "acceptance_rate": np.zeros((1, 1), np.float32),
    }
