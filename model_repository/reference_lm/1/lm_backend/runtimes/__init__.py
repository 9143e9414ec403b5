"""What runs the model: one small port, and an implementation of it for each library.

- ``onnxruntime-genai``: ONNX Runtime GenAI, on the CPU;
- ``tensorrt_llm``: TensorRT-LLM's PyTorch ``LLM`` class, in images after those with the TensorRT engine workflow;
- ``vllm``: vLLM.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from lm_backend.generation import Generation
from lm_backend.requests import GenerationRequest
from lm_backend.settings import Settings


class Runtime(Protocol):
    """A loaded model that answers one call at a time.

    Attributes:
        vocabulary_size: Width of a row of logits, padding included.
        max_seq_len: Tokens of prompt and answer together, at most.
    """

    vocabulary_size: int
    max_seq_len: int

    def run(self, request: GenerationRequest, is_cancelled: Callable[[], bool]) -> Generation:
        """Read a prompt and go on from it greedily.

        Args:
            request: The call.
            is_cancelled: Whether its caller has gone.

        Returns:
            Tokens, raw logits of each step, and how much of the prompt came from the cache.

        Raises:
            RequestError: The call asks for what this runtime does not do.
            ExecutorError: The prompt is too long, or logits are asked for and not kept.
            CancelledCallError: The caller has gone.
        """


def load_runtime(settings: Settings) -> Runtime:
    """Load the model with the library that the parameter ``runtime`` names; no other library is imported.

    Args:
        settings: The parameters of config.pbtxt.

    Returns:
        The model, loaded.

    Raises:
        SettingsError: The model's folder does not hold what the library needs.
    """
    module = import_module(f"lm_backend.runtimes.{settings.runtime.replace('-', '_')}")
    runtime: Runtime = module.load(settings)
    return runtime
