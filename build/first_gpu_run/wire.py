"""Calls to the language model's tensors as they are on the wire, refusals included."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.grpc.model_config_pb2 import ModelConfig
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from archrouter.inference import tensors

Array = NDArray[Any]  # any dtype of the protocol


@dataclass(frozen=True, slots=True)
class Call:
    """One prompt.

    Attributes:
        ids: Its tokens.
        new_token_count: Tokens to generate at most.
        is_asking_logits: Whether to return a row of logits for each.
        end_id: Stops the generation; None runs to the end.
        extra: Further inputs by name, with their batch dimension.
        timeout_s: Time for the call.
    """

    ids: tuple[int, ...]
    new_token_count: int = 1
    is_asking_logits: bool = True
    end_id: int | None = None
    extra: Mapping[str, Array] = field(default_factory=dict)
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        outputs: By name; empty on a refusal.
        error: Status and text of a refusal; empty on success.
        elapsed_s: Time of the call.
    """

    outputs: Mapping[str, Array]
    error: str
    elapsed_s: float


class Wire(Protocol):
    """A served model; tests answer themselves."""

    def ask(self, call: Call) -> Answer:
        """Make one call; a refusal is an answer."""

    def is_ready(self) -> bool:
        """Say whether the model would take a call."""

    def config(self) -> ModelConfig:
        """Return its config as Triton has it."""


class TritonWire:
    """A model of a Triton; safe to use from several threads."""

    def __init__(self, endpoint: str, model: str) -> None:
        """Connect lazily.

        Args:
            endpoint: HOST:PORT of its gRPC.
            model: Name of the model.
        """
        self._client = InferenceServerClient(endpoint)
        self._model = model

    def ask(self, call: Call) -> Answer:
        """See `Wire.ask`."""
        names = [tensors.OUTPUT_IDS, tensors.SEQUENCE_LENGTH, tensors.KV_REUSED_BLOCKS]
        names += [tensors.GENERATION_LOGITS] if call.is_asking_logits else []
        requested = [InferRequestedOutput(tensor.name) for tensor in names]
        inputs = [_input(name, value) for name, value in _arrays(call).items()]
        started_s = time.monotonic()
        try:
            result = self._client.infer(self._model, inputs, outputs=requested, client_timeout=call.timeout_s)
        except InferenceServerException as error:
            status = (error.status() or "client").rpartition(".")[2]
            return Answer({}, f"{status}: {error.message()}", time.monotonic() - started_s)
        found = {tensor.name: result.as_numpy(tensor.name) for tensor in names}
        present = {name: value for name, value in found.items() if value is not None}
        return Answer(present, "", time.monotonic() - started_s)

    def is_ready(self) -> bool:
        """See `Wire.is_ready`."""
        try:
            return bool(self._client.is_model_ready(self._model, client_timeout=5.0))
        except InferenceServerException:
            return False

    def config(self) -> ModelConfig:
        """See `Wire.config`."""
        return self._client.get_model_config(self._model, client_timeout=5.0).config


def ask_all(wire: Wire, calls: Sequence[Call], concurrency: int) -> list[Answer]:
    """Make calls at the same time.

    Args:
        wire: The model.
        calls: What to ask.
        concurrency: Calls in flight, >= 1.

    Returns:
        The answers in the order of the calls.
    """
    with ThreadPoolExecutor(concurrency) as pool:
        return list(pool.map(wire.ask, calls))


def _arrays(call: Call) -> dict[str, Array]:
    ids = np.array([call.ids], np.int32)
    scalars: dict[tensors.Tensor, Array] = {
        tensors.INPUT_LENGTHS: np.array([[len(call.ids)]], np.int32),
        tensors.REQUEST_OUTPUT_LEN: np.array([[call.new_token_count]], np.int32),
        tensors.RUNTIME_TOP_K: np.array([[1]], np.int32),
        tensors.TEMPERATURE: np.array([[1.0]], np.float32),
        tensors.RETURN_GENERATION_LOGITS: np.array([[call.is_asking_logits]]),
        tensors.RETURN_PERF_METRICS: np.array([[True]]),
        tensors.EXCLUDE_INPUT_IN_OUTPUT: np.array([[True]]),
    }
    if call.end_id is not None:
        scalars[tensors.END_ID] = scalars[tensors.PAD_ID] = np.array([[call.end_id]], np.int32)
    return {tensors.INPUT_IDS.name: ids, **{t.name: value for t, value in scalars.items()}, **call.extra}


def _input(name: str, value: Array) -> InferInput:
    tensor = InferInput(name, list(value.shape), np_to_triton_dtype(value.dtype))
    tensor.set_data_from_numpy(value)
    return tensor
