"""ONNX Runtime GenAI: an export of its model builder, run on the CPU, with a prefix cache of this model's own."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime_genai as og

from lm_backend.errors import ExecutorError, SettingsError
from lm_backend.generation import Generation, GreedyExecutor
from lm_backend.prefix_cache import FloatArray, IntArray, PrefixCache
from lm_backend.requests import GenerationRequest
from lm_backend.settings import Settings

CONFIG_FILE = "genai_config.json"


class GenAiState:
    """The KV state of one token sequence."""

    __slots__ = ("_generator",)

    def __init__(self, generator: og.Generator) -> None:
        """Wrap a generator that has read nothing."""
        self._generator = generator

    def append(self, tokens: IntArray) -> None:
        """Read tokens, int32 ``[count]``, count at least 1.

        Raises:
            ExecutorError: ONNX Runtime failed; the state is not to be used again.
        """
        try:
            self._generator.append_tokens(np.ascontiguousarray(tokens))
        except RuntimeError as error:
            message = f"the forward step over {len(tokens)} tokens failed in ONNX Runtime GenAI: {error}"
            raise ExecutorError(message) from error

    def rewind(self, token_count: int) -> None:
        """Forget everything after the first ``token_count`` tokens."""
        self._generator.rewind_to(token_count)

    def last_logits(self) -> FloatArray:
        """Return a copy of the logits after the last token read, float32 ``[vocabulary]``."""
        return np.array(self._generator.get_logits()[0, -1], np.float32)


class GenAiModel:
    """Weights, and the KV states made from them.

    Attributes:
        vocabulary_size: Rows of logits, padding included.
        max_seq_len: Tokens one state holds.
    """

    def __init__(self, directory: Path, *, max_seq_len: int, intra_op_threads: int) -> None:
        """Load an export.

        Args:
            directory: Holds ``genai_config.json`` and what it names.
            max_seq_len: Tokens one state holds; the export's context length where that is shorter.
            intra_op_threads: Threads of ONNX Runtime; 0 leaves the choice to it.

        Raises:
            SettingsError: There is no export.
        """
        config_file = directory / CONFIG_FILE
        if not config_file.is_file():
            message = (
                f"parameter model_directory is {str(directory)!r}, where {CONFIG_FILE} is missing: "
                "name an export of the ONNX Runtime GenAI model builder"
            )
            raise SettingsError(message)
        config = json.loads(config_file.read_text(encoding="utf-8"))["model"]
        context_length = int(config["context_length"])
        self.vocabulary_size = int(config["vocab_size"])
        self.max_seq_len = min(max_seq_len, context_length)
        # The library reports its use to its maker where the platform has a channel for that; this model does not.
        og.disable_telemetry_events()
        og_config = og.Config(str(directory))
        if intra_op_threads:
            session_options = {"intra_op_num_threads": intra_op_threads}
            og_config.overlay(json.dumps({"model": {"decoder": {"session_options": session_options}}}))
        self._model = og.Model(og_config)

    def make_state(self) -> GenAiState:
        """Return an empty KV state; its memory is reserved for ``max_seq_len`` tokens at once."""
        parameters = og.GeneratorParams(self._model)
        parameters.set_search_options(max_length=self.max_seq_len, do_sample=False)
        return GenAiState(og.Generator(self._model, parameters))


class GenAiRuntime:
    """`Runtime` over an export: its own weights and prefix cache, one call at a time."""

    def __init__(self, model: GenAiModel, settings: Settings) -> None:
        """Take a loaded model."""
        self.vocabulary_size = model.vocabulary_size
        self.max_seq_len = model.max_seq_len
        self._executor = GreedyExecutor(
            PrefixCache(model.make_state, settings.prefix_cache_entries if settings.enable_kv_cache_reuse else 0),
            max_seq_len=model.max_seq_len,
            prefill_chunk_tokens=settings.prefill_chunk_tokens,
            gather_generation_logits=settings.gather_generation_logits,
        )

    def run(self, request: GenerationRequest, is_cancelled: Callable[[], bool]) -> Generation:
        """Answer a call; see `Runtime.run`. It ends at the next piece of the prompt or token once it is cancelled."""
        return self._executor.run(request, is_cancelled)


def load(settings: Settings) -> GenAiRuntime:
    """Load an export and run it once, so that the first call is as fast as the next; see `load_runtime`."""
    model = GenAiModel(
        settings.model_directory, max_seq_len=settings.max_seq_len, intra_op_threads=settings.intra_op_threads
    )
    model.make_state().append(np.zeros(1, np.int32))
    return GenAiRuntime(model, settings)
