"""One connection to Triton: deadlines, a bound on concurrency, and the error map around every call."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import grpc
import numpy as np
from grpc import aio
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import serialize_byte_tensor, triton_to_np_dtype

from archrouter.domain.errors import BackendProtocolError, BackendUnavailableError, BudgetExceededError
from archrouter.inference.model_checks import check_model
from archrouter.inference.tensors import ModelTensors, Tensor
from archrouter.inference.triton_errors import RETRY_AFTER_S, domain_error

# The short back-off makes a restarted server reachable within a second instead of up to two minutes. What is called the
# least back-off is the time one attempt to connect may take (grpc/grpc#12830): too short on a busy machine it would
# fail every attempt.
_CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),  # a new channel shall not inherit a dead connection
]


class Counter(Protocol):
    """Counts something."""

    def inc(self) -> None:
        """Count one."""
        ...


class CallSpan(Protocol):
    """The span of one call."""

    headers: dict[str, str]

    def end(self, code: int, *, is_error: bool) -> None:
        """Say how the call ended, by its gRPC status code."""
        ...


class _Untraced:
    """What stands in for a span where nobody traces."""

    headers: dict[str, str] = {}  # noqa: RUF012  # only read

    def end(self, code: int, *, is_error: bool) -> None:
        """Do nothing."""


StartSpan = Callable[[str, str], AbstractContextManager[CallSpan]]
"""Starts the span of a call, by endpoint and model."""

_UNTRACED: AbstractContextManager[CallSpan] = nullcontext(_Untraced())


Outputs: TypeAlias = Mapping[str, NDArray[Any]]
"""The tensors of an answer by name, each of the shape and type that the model gave it; read-only."""


@dataclass(frozen=True, eq=False)
class NamedArray:
    """An input tensor and its value, C-contiguous, of the tensor's type (BYTES: an object array of bytes)."""

    tensor: Tensor
    value: NDArray[Any]  # any dtype of the KServe v2 protocol

    @cached_property
    def content(self) -> bytes:
        """The value as it goes over the wire; written once, for as many calls as take it."""
        if self.value.dtype == np.object_:
            content: bytes = serialize_byte_tensor(self.value).item()
            return content
        return self.value.tobytes()


class TritonClient:
    """Triton's gRPC service, whose failures become domain errors. Used from one event loop.

    The calls are made by the stubs of `tritonclient`: its client around them would make objects of its own of each
    tensor in every call.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        max_concurrent_requests: int,
        count_request: Callable[[str], Counter] | None = None,
        start_span: StartSpan | None = None,
    ) -> None:
        """Open lazily: nothing is sent before the first call.

        Args:
            endpoint: HOST:PORT of Triton's gRPC.
            max_concurrent_requests: Inferences in flight at a time, >= 1; more wait within their own deadline.
            count_request: Gives the counter of inferences that ended with the gRPC status of that name.
            start_span: Starts the span of an inference; None traces none.
        """
        self.endpoint = endpoint
        self._open()
        self._slots = asyncio.Semaphore(max_concurrent_requests)
        self._count_request = count_request
        self._start_span = start_span

    def _open(self) -> None:
        self._channel = aio.insecure_channel(self.endpoint, options=_CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def infer(
        self, model: str, inputs: Sequence[NamedArray], outputs: Sequence[Tensor], *, timeout_s: float
    ) -> Outputs:
        """Run one inference.

        Args:
            model: Triton model name.
            inputs: Input tensors with their batch dimension, where the model has one.
            outputs: Tensors to return.
            timeout_s: Time for waiting and inference together.

        Returns:
            What Triton answered.

        Raises:
            BudgetExceededError: When ``timeout_s`` ran out; the inference is cancelled.
            BackendProtocolError: When the answer's tensors are not what it says of them, among others.
            BackendUnavailableError: When the connection was dropped meanwhile, among others.
            ArchRouterError: Whatever the error map makes of Triton's failure.
        """
        if timeout_s <= 0:
            raise BudgetExceededError(remaining_s=timeout_s)
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        request = inference_request(model, inputs, outputs)
        with self._start_span(self.endpoint, model) if self._start_span else _UNTRACED as span:
            try:
                async with asyncio.timeout_at(deadline_s), self._slots:
                    remaining_s = deadline_s - asyncio.get_running_loop().time()
                    response = await self._stub.ModelInfer(
                        request, timeout=remaining_s, metadata=tuple(span.headers.items())
                    )
            except TimeoutError:
                self._count(grpc.StatusCode.DEADLINE_EXCEEDED, span)
                raise BudgetExceededError(remaining_s=0.0) from None
            except aio.AioRpcError as error:
                self._count(error.code(), span)
                raise domain_error(model, error) from error
            except asyncio.CancelledError:
                if is_cancelled():
                    span.end(grpc.StatusCode.CANCELLED.value[0], is_error=True)
                    raise
                self._count(grpc.StatusCode.CANCELLED, span)
                msg = f"the connection to model {model!r} was dropped"
                raise BackendUnavailableError(msg, retry_after_s=RETRY_AFTER_S) from None
            self._count(grpc.StatusCode.OK, span)
            return _outputs(model, response)

    def _count(self, code: grpc.StatusCode, span: CallSpan) -> None:
        span.end(code.value[0], is_error=code is not grpc.StatusCode.OK)
        if self._count_request is not None:
            self._count_request(code.name).inc()

    async def is_model_ready(self, model: str, *, timeout_s: float) -> bool | None:
        """Ask whether a model would take a request; None when the server cannot be reached in time."""
        try:
            answer = await self._stub.ModelReady(service_pb2.ModelReadyRequest(name=model), timeout=timeout_s)
            return bool(answer.ready)
        except aio.AioRpcError:
            return None

    async def model_config(self, model: str, *, timeout_s: float) -> Any:  # noqa: ANN401  # `tritonclient` ships no types
        """Read a model's `ModelConfig` as Triton serves it; raises what the error map makes of Triton's failure."""
        try:
            answer = await self._stub.ModelConfig(service_pb2.ModelConfigRequest(name=model), timeout=timeout_s)
        except aio.AioRpcError as error:
            raise domain_error(model, error) from error
        return answer.config

    async def model_parameters(self, model: str, contract: ModelTensors, *, timeout_s: float) -> dict[str, str]:
        """Check that a model keeps the contract, and read the parameters of its config.pbtxt by key."""
        config = await self.model_config(model, timeout_s=timeout_s)
        check_model(config, contract)
        return {key: parameter.string_value for key, parameter in config.parameters.items()}

    async def reconnect(self) -> None:
        """Put a new channel in the place of the present one, and end the calls on that."""
        dropped = self._channel
        self._open()
        await dropped.close()

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


def inference_request(
    model: str, inputs: Sequence[NamedArray], outputs: Sequence[Tensor]
) -> service_pb2.ModelInferRequest:
    """Write an inference as Triton reads it."""
    request = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[named.content for named in inputs])
    for named in inputs:
        request.inputs.add(name=named.tensor.name, datatype=named.tensor.datatype, shape=named.value.shape)
    for tensor in outputs:
        request.outputs.add(name=tensor.name)
    return request


def _outputs(model: str, response: service_pb2.ModelInferResponse) -> Outputs:
    try:
        return {
            output.name: np.frombuffer(content, triton_to_np_dtype(output.datatype)).reshape(output.shape)
            for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
        }
    except ValueError as error:
        msg = f"model {model!r} answered with tensors that are not of the length or type that it says: {error}"
        raise BackendProtocolError(msg) from error


def is_cancelled() -> bool:
    """Say whether somebody cancelled the running task; gRPC raises the same error where its channel is closed."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def scalar(tensor: Tensor, value: float, dtype: type[np.generic]) -> NamedArray:
    """Write one value as the language model takes it: ``[1, 1]``, batch dimension first."""
    return NamedArray(tensor, np.array([[value]], dtype=dtype))


def output_array(outputs: Outputs, tensor: Tensor, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any]:
    """Take one output; raises BackendProtocolError when it is absent, or has another shape or type than given."""
    array = outputs.get(tensor.name)
    if array is None:
        msg = f"output {tensor.name!r} is missing"
        raise BackendProtocolError(msg)
    if array.shape != shape or array.dtype != dtype:
        msg = (
            f"output {tensor.name!r} is {array.dtype} {list(array.shape)}, "
            f"the contract says {np.dtype(dtype)} {list(shape)}"
        )
        raise BackendProtocolError(msg)
    return array
