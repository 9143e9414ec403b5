"""A served model whose answers a test writes."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from first_gpu_run.__main__ import CHECKS
from first_gpu_run.checks import Status, run_check
from first_gpu_run.host import Host
from first_gpu_run.wire import Answer, Array, Call
from tritonclient.grpc.model_config_pb2 import ModelConfig

VOCAB_SIZE = 1024
L40S = {"nvidia-smi": "NVIDIA L40S, 8.9, 590.44.01\n"}
QUEUE_FULL = "INTERNAL: Maximum queue size of 256 has been reached, please try again later"


class RecordedWire:
    """Answers every call with what a function says, and keeps the calls."""

    def __init__(
        self, answer: Callable[[Call], Answer], *, is_ready: bool = True, config: ModelConfig | None = None
    ) -> None:
        """Set the stage."""
        self.calls: list[Call] = []
        self._answer = answer
        self._is_ready = is_ready
        self._config = config or ModelConfig()

    def ask(self, call: Call) -> Answer:
        """See `first_gpu_run.wire.Wire.ask`."""
        self.calls.append(call)
        return self._answer(call)

    def is_ready(self) -> bool:
        """See `first_gpu_run.wire.Wire.is_ready`."""
        return self._is_ready

    def config(self) -> ModelConfig:
        """See `first_gpu_run.wire.Wire.config`."""
        return self._config


def answered(elapsed_s: float = 0.01, /, **outputs: Array) -> Answer:
    """Write an answer."""
    return Answer(outputs, "", elapsed_s)


def refused(error: str) -> Answer:
    """Write a refusal: status and text."""
    return Answer({}, error, 0.01)


def rows_of(call: Call, **changes: Any) -> Mapping[str, Array]:  # noqa: ANN401  # arrays and numbers
    """Write the outputs of a model whose logits depend on the prompt alone."""
    generator = np.random.default_rng(sum(call.ids))
    logits = generator.normal(size=(1, 1, call.new_token_count, VOCAB_SIZE)).astype(np.float32)
    return {
        "generation_logits": logits,
        "output_ids": logits.argmax(axis=-1).astype(np.int32),
        "sequence_length": np.array([[call.new_token_count]], np.int32),
        "kv_cache_reused_blocks": np.array([[(len(call.ids) - 1) // 32]], np.int32),
        **changes,
    }


def outcome(name: str, host: Host) -> tuple[Status, str]:
    """Run the check of that name.

    Args:
        name: Of the check.
        host: What it may look at.

    Returns:
        Its status and what it saw.
    """
    (check,) = (check for check in CHECKS if check.name == name)
    result = run_check(check, host)
    return result.status, result.saw


def usual(call: Call) -> Answer:
    """Answer as a model without faults."""
    return answered(**rows_of(call))
