"""A small gRPC server that does what a real Triton cannot be made to: short logits, no answer, the executor's texts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import numpy as np
from google.protobuf import text_format
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype

CONFIG = Path(__file__).parents[2] / "model_repository" / "tensorrt_llm" / "config.pbtxt"

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Answer = Callable[[service_pb2.ModelInferRequest, Context], Awaitable[service_pb2.ModelInferResponse]]


class _Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped stubs
    def __init__(self, config: Any, answer: Answer, is_ready: Callable[[], bool]) -> None:  # noqa: ANN401  # protobuf
        self._config = config
        self._answer = answer
        self._is_ready = is_ready

    async def ModelReady(  # noqa: N802  # the protocol's name
        self, _request: service_pb2.ModelReadyRequest, _context: Context
    ) -> service_pb2.ModelReadyResponse:
        return service_pb2.ModelReadyResponse(ready=self._is_ready())

    async def ModelConfig(  # noqa: N802  # same
        self, _request: service_pb2.ModelConfigRequest, _context: Context
    ) -> service_pb2.ModelConfigResponse:
        return service_pb2.ModelConfigResponse(config=self._config)

    async def ModelInfer(  # noqa: N802  # same
        self, request: service_pb2.ModelInferRequest, context: Context
    ) -> service_pb2.ModelInferResponse:
        return await self._answer(request, context)


def engine_model_config(model_version: str) -> Any:  # noqa: ANN401  # protobuf
    """Parse the committed config.pbtxt of the engine and fill in what a deployment fills in."""
    config = text_format.Parse(CONFIG.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    config.parameters["model_version"].string_value = model_version
    return config


def fake_triton(model_version: str, answer: Answer) -> AbstractAsyncContextManager[str]:
    """Serve ``tensorrt_llm``'s config.pbtxt and one behaviour; give HOST:PORT."""
    return serving(engine_model_config(model_version), answer, lambda: True)


@asynccontextmanager
async def serving(config: Any, answer: Answer, is_ready: Callable[[], bool]) -> AsyncIterator[str]:  # noqa: ANN401  # protobuf
    """Serve a `ModelConfig` and one behaviour on the loopback interface; give HOST:PORT."""
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Service(config, answer, is_ready), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)


def response(**outputs: NDArray[np.generic]) -> service_pb2.ModelInferResponse:
    """Put arrays on the wire."""
    message = service_pb2.ModelInferResponse()
    for name, value in outputs.items():
        output = message.outputs.add(name=name, datatype=np_to_triton_dtype(value.dtype), shape=value.shape)
        message.raw_output_contents.append(np.ascontiguousarray(value).tobytes())
        assert output.datatype
    return message


def requested_tokens(request: service_pb2.ModelInferRequest) -> int:
    """Read how many tokens a call asks for."""
    names = [tensor.name for tensor in request.inputs]
    return int(np.frombuffer(request.raw_input_contents[names.index("request_output_len")], np.int32)[0])


def generated(token_count: int) -> service_pb2.ModelInferResponse:
    """Answer a plain generation."""
    return response(
        output_ids=np.ones((1, 1, token_count), np.int32), sequence_length=np.array([[token_count]], np.int32)
    )


def row_of_logits(row: NDArray[np.generic]) -> service_pb2.ModelInferResponse:
    """Answer a scoring call with a row [V]."""
    counter, time_ns = np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int64)
    return response(
        output_ids=np.ones((1, 1, 1), np.int32),
        sequence_length=np.ones((1, 1), np.int32),
        generation_logits=row.reshape(1, 1, 1, -1),
        kv_cache_reused_blocks=counter,
        arrival_time_ns=time_ns,
        first_scheduled_time_ns=time_ns,
    )


async def never(_request: service_pb2.ModelInferRequest, _context: Context) -> service_pb2.ModelInferResponse:
    """Hang."""
    await asyncio.Event().wait()
    return response()


def bounded_executor(running_count: int, queue_size: int, step_s: float) -> Answer:
    """Make an executor that refuses as TensorRT-LLM's does: INTERNAL, with its own text.

    Args:
        running_count: Calls at a time.
        queue_size: Calls that may wait.
        step_s: Time of one token, in seconds.

    Returns:
        The behaviour.
    """
    slots = asyncio.Semaphore(running_count)
    waiting = 0

    async def answer(request: service_pb2.ModelInferRequest, context: Context) -> service_pb2.ModelInferResponse:
        nonlocal waiting
        if slots.locked() and waiting >= queue_size:
            text = f"Maximum queue size of {queue_size} has been reached, please try again later"
            await context.abort(grpc.StatusCode.INTERNAL, text)
        waiting += 1
        async with slots:
            waiting -= 1
            token_count = requested_tokens(request)
            await asyncio.sleep(token_count * step_s)
            return generated(token_count)

    return answer


def stubborn_executor(step_s: float) -> Answer:
    """Make an executor that runs one call at a time and does not notice that a caller has gone."""
    running = asyncio.Lock()

    async def work(token_count: int) -> service_pb2.ModelInferResponse:
        async with running:
            await asyncio.sleep(token_count * step_s)
        return generated(token_count)

    async def answer(request: service_pb2.ModelInferRequest, _context: Context) -> service_pb2.ModelInferResponse:
        return await asyncio.shield(asyncio.ensure_future(work(requested_tokens(request))))

    return answer
