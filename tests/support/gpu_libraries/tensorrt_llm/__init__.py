"""Stand-in for TensorRT-LLM's PyTorch ``LLM`` class.

Signatures as read in NVIDIA/TensorRT-LLM: tensorrt_llm/llmapi/llm.py at 4c05a74, tensorrt_llm/executor/result.py at
a678b91, tensorrt_llm/sampling_params.py at 000a01d.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
from gpu_library_model import ExportedModel

from tensorrt_llm.llmapi import KvCacheConfig, KvCacheRetentionConfig


@dataclass(slots=True, kw_only=True)
class SamplingParams:
    """The fields that are used, with upstream's defaults."""

    end_id: int | None = None
    pad_id: int | None = None
    max_tokens: int = 32
    top_k: int | None = None
    return_generation_logits: bool = False
    return_perf_metrics: bool = False
    detokenize: bool = True
    add_special_tokens: bool = True


class _Tensor:
    """As much of ``torch.Tensor`` as reading it takes."""

    def __init__(self, values: npt.NDArray[np.float32]) -> None:
        self._values = values

    def float(self) -> "_Tensor":
        return self

    def cpu(self) -> "_Tensor":
        return self

    def numpy(self) -> npt.NDArray[np.float32]:
        return self._values


@dataclass(slots=True)
class CompletionOutput:
    """Upstream removes the end token's logits with the token: ``generation_logits[:length]``."""

    index: int
    token_ids: list[int]
    generation_logits: _Tensor | None
    request_perf_metrics: SimpleNamespace | None


@dataclass(slots=True)
class RequestOutput:
    """What ``generate_async`` returns at once, and ``result`` when it is done."""

    outputs: list[CompletionOutput]

    def result(self, timeout: float | None = None) -> "RequestOutput":
        """Wait."""
        del timeout
        return self


class LLM:
    """The PyTorch back end; ``retention`` records what each call asked to keep."""

    def __init__(
        self,
        model: str,
        *,
        tokenizer: str | None = None,
        skip_tokenizer_init: bool = False,
        dtype: str = "auto",
        max_seq_len: int | None = None,
        max_batch_size: int | None = None,
        gather_generation_logits: bool = False,
        kv_cache_config: KvCacheConfig | None = None,
    ) -> None:
        """Load."""
        del tokenizer, dtype, max_batch_size, kv_cache_config
        if not skip_tokenizer_init:
            msg = "no tokenizer here"
            raise RuntimeError(msg)
        self._model = ExportedModel(model, max_seq_len or 0)
        self._gathers = gather_generation_logits
        self.retention: list[KvCacheRetentionConfig | None] = []

    def generate_async(
        self,
        inputs: list[int],
        sampling_params: SamplingParams | None = None,
        lora_request: None = None,
        prompt_adapter_request: None = None,
        streaming: bool = False,  # noqa: FBT001, FBT002  # upstream's signature
        kv_cache_retention_config: KvCacheRetentionConfig | None = None,
    ) -> RequestOutput:
        """Generate at once."""
        del lora_request, prompt_adapter_request, streaming
        self.retention.append(kv_cache_retention_config)
        sampling = sampling_params or SamplingParams()
        reused = self._model.shared_prefix(inputs) // 32
        answer = self._model.generate(inputs, sampling.max_tokens, sampling.end_id)
        metrics = SimpleNamespace(kv_cache_metrics=SimpleNamespace(num_reused_blocks=reused))
        wanted = sampling.return_generation_logits and self._gathers
        return RequestOutput(
            [
                CompletionOutput(
                    index=0,
                    token_ids=answer.token_ids,
                    generation_logits=_Tensor(answer.logits) if wanted else None,
                    request_perf_metrics=metrics if sampling.return_perf_metrics else None,
                )
            ]
        )
