"""What any service in Python pays: reads a call, passes its bytes on to Triton, passes the answer back.

Run as ``python -m benchmarks.load.relay HOST:PORT`` of Triton; it prints its own port.
"""

import asyncio
import sys
from typing import Any, cast

import grpc
from benchmarks.load.generator import MODEL_INFER
from grpc import aio

CALL_TIMEOUT_S = 10.0


async def run(triton: str) -> None:
    """Relay until the process is stopped."""
    async with aio.insecure_channel(triton) as channel:
        infer: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(MODEL_INFER)

        async def relay(request: bytes, _context: aio.ServicerContext[bytes, bytes]) -> bytes:
            return await infer(request, timeout=CALL_TIMEOUT_S)

        server = aio.server()
        service, method = MODEL_INFER.strip("/").split("/")
        # The type stubs describe handlers of synchronous servers; those of grpc.aio are coroutine functions.
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(cast("Any", relay))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        print(server.add_insecure_port("127.0.0.1:0"), flush=True)
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1]))
