"""A Triton of the test's own: the KServe v2 calls that the service makes, answered without a model.

For faults that no healthy server shows, and for many servers at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf import text_format
from grpc import aio
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.grpc.model_config_pb2 import ModelConfig

ENGINE_CONFIG = Path(__file__).parents[2] / "model_repository" / "tensorrt_llm" / "config.pbtxt"

# Any: tritonclient ships no types for its messages.


def engine_model_config(model_version: str) -> Any:  # noqa: ANN401  # protobuf
    """Parse the committed config.pbtxt of the engine and fill in what a deployment fills in."""
    config = text_format.Parse(ENGINE_CONFIG.read_text(encoding="utf-8"), ModelConfig())
    config.parameters["model_version"].string_value = model_version
    return config


@dataclass(slots=True)
class EngineTriton:
    """What the server says and does; a test may change it at any time.

    Attributes:
        config: The model's configuration.
        vocab_size: Width of a row of logits.
        ready: What ModelReady answers.
        refusal: Status and text of each inference while it is not None.
        gate: Inferences wait until it is open.
        logit: Every value of a row.
        call_count: Inferences that have arrived.
        cancelled_count: Inferences whose caller went away while they waited at the gate.
        endpoint: HOST:PORT.
    """

    config: Any
    vocab_size: int
    ready: bool = True
    refusal: tuple[grpc.StatusCode, str] | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    logit: float = 0.0
    call_count: int = 0
    cancelled_count: int = 0
    endpoint: str = ""


class _Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # tritonclient ships no types
    def __init__(self, fake: EngineTriton) -> None:
        self._fake = fake

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: ANN401, N802
        del request, context
        return service_pb2.ModelReadyResponse(ready=self._fake.ready)

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: ANN401, N802
        del request, context
        return service_pb2.ModelConfigResponse(config=self._fake.config)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: ANN401, N802
        fake = self._fake
        fake.call_count += 1
        try:
            await fake.gate.wait()
        except asyncio.CancelledError:
            fake.cancelled_count += 1
            raise
        if fake.refusal is not None:
            await context.abort(*fake.refusal)
        reply = service_pb2.ModelInferResponse(model_name=request.model_name)
        for name, datatype, value in _answer(fake.vocab_size, fake.logit):
            reply.outputs.add(name=name, datatype=datatype, shape=value.shape)
            reply.raw_output_contents.append(value.tobytes())
        return reply


def _answer(vocab_size: int, logit: float) -> tuple[tuple[str, str, np.ndarray[Any, Any]], ...]:
    return (
        ("output_ids", "INT32", np.zeros((1, 1, 1), np.int32)),
        ("sequence_length", "INT32", np.ones((1, 1), np.int32)),
        ("generation_logits", "FP32", np.full((1, 1, 1, vocab_size), logit, np.float32)),
        ("kv_cache_reused_blocks", "INT32", np.zeros((1, 1), np.int32)),
        ("arrival_time_ns", "INT64", np.zeros((1, 1), np.int64)),
        ("first_scheduled_time_ns", "INT64", np.zeros((1, 1), np.int64)),
    )


@asynccontextmanager
async def engine_triton(model_version: str, *, vocab_size: int) -> AsyncIterator[EngineTriton]:
    """Serve on a free loopback port, with the gate open."""
    fake = EngineTriton(engine_model_config(model_version), vocab_size)
    fake.gate.set()
    server = aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Servicer(fake), server)
    fake.endpoint = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(0)
