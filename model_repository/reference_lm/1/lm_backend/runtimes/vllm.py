"""vLLM: one prompt of token ids, greedy, the whole row of raw logits in place of log-probabilities.

Never run on a GPU by this project. Written against signatures read in vllm-project/vllm: ``LLM`` in
vllm/entrypoints/llm.py at 10fdb8f (engine arguments ``max_logprobs`` and ``logprobs_mode`` in vllm/config/model.py),
``SamplingParams`` with ``logprobs=-1`` and ``flat_logprobs`` in vllm/sampling_params.py at 00388f6, ``RequestOutput``
in vllm/outputs.py at 003d3ee, ``FlatLogprobs`` (columns ``token_ids``, ``logprobs``, ``start_indices``,
``end_indices``) in vllm/logprobs.py.
"""

import numpy as np
from vllm import LLM, SamplingParams
from vllm.inputs import TokensPrompt
from vllm.logprobs import FlatLogprobs

from lm_backend.errors import ExecutorError
from lm_backend.prefix_cache import FloatArray
from lm_backend.requests import NO_END_ID, GenerationRequest
from lm_backend.runtimes.checkpoint import Answer, CheckpointRuntime
from lm_backend.settings import Settings


class VllmRuntime(CheckpointRuntime):
    """vLLM's offline class. It keeps prefixes by their age alone: pins are not heeded."""

    def __init__(self, settings: Settings) -> None:
        """Load a checkpoint; see `load_runtime`."""
        super().__init__(settings)
        self._llm = LLM(
            model=str(settings.model_directory),
            skip_tokenizer_init=True,
            dtype="bfloat16",
            max_model_len=self.max_seq_len,
            max_num_seqs=1,
            max_logprobs=-1,
            logprobs_mode="raw_logits",
            enable_prefix_caching=settings.enable_kv_cache_reuse,
        )

    def answer(self, request: GenerationRequest, max_tokens: int) -> Answer:
        """Ask for all log-probabilities, which are raw logits here; see `CheckpointRuntime.answer`."""
        sampling = SamplingParams(
            temperature=0.0,
            max_tokens=max_tokens,
            logprobs=-1,
            flat_logprobs=True,
            stop_token_ids=None if request.end_id == NO_END_ID else [request.end_id],
            ignore_eos=True,  # only the call's own end token ends it
            detokenize=False,
        )
        prompt = TokensPrompt(prompt_token_ids=request.input_ids.tolist())
        result = self._llm.generate(prompt, sampling_params=sampling, use_tqdm=False)[0]
        output = result.outputs[0]
        return Answer(output.token_ids, _rows(output.logprobs, self.vocabulary_size), result.num_cached_tokens or 0)


load = VllmRuntime


def _rows(logprobs: FlatLogprobs | None, vocabulary_size: int) -> FloatArray:
    """Put each step's values at their tokens, float32 ``[steps, vocabulary]``; the chosen token comes twice.

    Padding rows of the embedding are no tokens to vLLM and come without a value: they get the lowest finite one.
    """
    if logprobs is None:
        message = "vLLM returned no log-probabilities"
        raise ExecutorError(message)
    rows = np.full((len(logprobs.start_indices), vocabulary_size), np.finfo(np.float32).min, np.float32)
    for row, start, end in zip(rows, logprobs.start_indices, logprobs.end_indices, strict=True):
        row[np.asarray(logprobs.token_ids[start:end])] = logprobs.logprobs[start:end]
    return rows
