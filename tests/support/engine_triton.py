"""A Triton of the test's own that says and does as it is told, at any time.

For faults that no healthy server shows, and for many servers at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from tests.support.fake_triton import Context, engine_model_config, row_of_logits, serving
from tritonclient.grpc import service_pb2


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

    config: Any  # tritonclient ships no types for its messages
    vocab_size: int
    ready: bool = True
    refusal: tuple[grpc.StatusCode, str] | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    logit: float = 0.0
    call_count: int = 0
    cancelled_count: int = 0
    endpoint: str = ""

    async def answer(self, _request: service_pb2.ModelInferRequest, context: Context) -> service_pb2.ModelInferResponse:
        """Answer an inference, once the gate is open."""
        self.call_count += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled_count += 1
            raise
        if self.refusal is not None:
            await context.abort(*self.refusal)
        return row_of_logits(np.full(self.vocab_size, self.logit, np.float32))


@asynccontextmanager
async def engine_triton(model_version: str, *, vocab_size: int) -> AsyncIterator[EngineTriton]:
    """Serve on a free loopback port, with the gate open."""
    fake = EngineTriton(engine_model_config(model_version), vocab_size)
    fake.gate.set()
    async with serving(fake.config, fake.answer, lambda: fake.ready) as fake.endpoint:
        yield fake
