"""Stand-in for vLLM's offline class.

Signatures as read in vllm-project/vllm: vllm/entrypoints/llm.py at 10fdb8f, vllm/sampling_params.py at 00388f6,
vllm/outputs.py at 003d3ee, vllm/logprobs.py.
"""

from dataclasses import dataclass

from gpu_library_model import ExportedModel

from vllm.inputs import TokensPrompt
from vllm.logprobs import FlatLogprobs


@dataclass(slots=True, kw_only=True)
class SamplingParams:
    """The fields that are used, with upstream's defaults."""

    temperature: float = 1.0
    max_tokens: int | None = 16
    logprobs: int | None = None
    flat_logprobs: bool = False
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    detokenize: bool = True


@dataclass(slots=True)
class CompletionOutput:
    """One answer; the stop token is among its tokens."""

    index: int
    text: str
    token_ids: list[int]
    cumulative_logprob: float | None
    logprobs: FlatLogprobs | None


@dataclass(slots=True)
class RequestOutput:
    """The answers to one prompt."""

    outputs: list[CompletionOutput]
    num_cached_tokens: int | None


class LLM:
    """The offline class, with the engine arguments that are used."""

    def __init__(
        self,
        model: str,
        *,
        skip_tokenizer_init: bool = False,
        dtype: str = "auto",
        max_model_len: int | None = None,
        max_num_seqs: int | None = None,
        max_logprobs: int = 20,
        logprobs_mode: str = "raw_logprobs",
        enable_prefix_caching: bool | None = None,
    ) -> None:
        """Load."""
        del skip_tokenizer_init, dtype, max_num_seqs
        if max_logprobs != -1 or logprobs_mode != "raw_logits":
            msg = "the runtime reads whole rows of raw logits"
            raise ValueError(msg)
        self._model = ExportedModel(model, max_model_len or 0)
        self._caches = bool(enable_prefix_caching)

    def generate(
        self,
        prompts: TokensPrompt,
        sampling_params: SamplingParams | None = None,
        *,
        use_tqdm: bool = True,
        lora_request: None = None,
        priority: list[int] | None = None,
    ) -> list[RequestOutput]:
        """Generate."""
        del use_tqdm, lora_request, priority
        sampling = sampling_params or SamplingParams()
        prompt = prompts["prompt_token_ids"]
        shared = self._model.shared_prefix(prompt) // 16 * 16  # vLLM's blocks
        stop_id = sampling.stop_token_ids[0] if sampling.stop_token_ids else None
        answer = self._model.generate(prompt, sampling.max_tokens or 1, stop_id)
        flat = FlatLogprobs.of(answer.logits, answer.token_ids)
        output = CompletionOutput(0, "", answer.token_ids, None, flat if sampling.logprobs == -1 else None)
        return [RequestOutput([output], shared if self._caches else 0)]
