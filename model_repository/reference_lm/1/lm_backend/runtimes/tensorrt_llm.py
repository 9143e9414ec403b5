"""TensorRT-LLM's PyTorch ``LLM`` class: for its images after those with the TensorRT engine workflow.

Never run on a GPU by this project. Written against signatures read in NVIDIA/TensorRT-LLM: ``LLM.generate_async`` in
tensorrt_llm/llmapi/llm.py at 4c05a74, ``CompletionOutput`` in tensorrt_llm/executor/result.py at a678b91,
``SamplingParams`` in tensorrt_llm/sampling_params.py at 000a01d, and the uses of ``KvCacheRetentionConfig`` in
upstream's examples and tests of its bindings.
"""

from datetime import timedelta

import numpy as np
from tensorrt_llm import LLM, SamplingParams
from tensorrt_llm.llmapi import KvCacheConfig, KvCacheRetentionConfig

from lm_backend.errors import ExecutorError
from lm_backend.requests import PIN_PRIORITY, GenerationRequest
from lm_backend.responses import TOKENS_PER_BLOCK
from lm_backend.runtimes.checkpoint import Answer, CheckpointRuntime
from lm_backend.settings import Settings

DEFAULT_PRIORITY = 35
"""Upstream's priority of a block that nobody pins."""


class TensorRtLlmRuntime(CheckpointRuntime):
    """The class ``LLM``."""

    def __init__(self, settings: Settings) -> None:
        """Load a checkpoint; see `load_runtime`."""
        super().__init__(settings)
        self._llm = LLM(
            model=str(settings.model_directory),
            skip_tokenizer_init=True,
            dtype="bfloat16",
            max_seq_len=self.max_seq_len,
            max_batch_size=1,
            gather_generation_logits=settings.gather_generation_logits,
            kv_cache_config=KvCacheConfig(
                enable_block_reuse=settings.enable_kv_cache_reuse, tokens_per_block=TOKENS_PER_BLOCK
            ),
        )

    def answer(self, request: GenerationRequest, max_tokens: int) -> Answer:
        """Ask for generation logits; see `CheckpointRuntime.answer`."""
        result = self._llm.generate_async(
            request.input_ids.tolist(),
            sampling_params=SamplingParams(
                end_id=request.end_id,
                pad_id=max(request.end_id, 0),
                max_tokens=max_tokens,
                top_k=1,
                return_generation_logits=True,
                return_perf_metrics=True,
                detokenize=False,
                add_special_tokens=False,
            ),
            kv_cache_retention_config=_retention(request),
            streaming=False,
        ).result()
        output = result.outputs[0]
        if output.generation_logits is None:
            message = "TensorRT-LLM returned no generation logits"
            raise ExecutorError(message)
        metrics = output.request_perf_metrics
        reused_blocks = metrics.kv_cache_metrics.num_reused_blocks if metrics is not None else 0
        return Answer(
            output.token_ids,
            np.asarray(output.generation_logits.float().cpu().numpy(), np.float32),
            min(reused_blocks * TOKENS_PER_BLOCK, len(request.input_ids) - 1),
        )


load = TensorRtLlmRuntime


def _retention(request: GenerationRequest) -> KvCacheRetentionConfig | None:
    """Pin what the call pins, for as long as it says."""
    if not request.pinned_tokens:
        return None
    duration = None if request.pin_duration_ms is None else timedelta(milliseconds=request.pin_duration_ms)
    pin = KvCacheRetentionConfig.TokenRangeRetentionConfig(0, request.pinned_tokens, PIN_PRIORITY, duration)
    return KvCacheRetentionConfig(token_range_retention_configs=[pin], decode_retention_priority=DEFAULT_PRIORITY)
