"""Triton's failures as domain errors."""

from collections.abc import Callable

import grpc
import numpy as np
import pytest
from grpc import aio
from tests.support.fake_triton import Context, fake_triton, response
from tritonclient.grpc import service_pb2

from archrouter.domain.errors import (
    ArchRouterError,
    BackendProtocolError,
    BackendUnavailableError,
    BudgetExceededError,
    ModelNotReadyError,
    OverloadedError,
)
from archrouter.inference.triton_client import TritonClient
from archrouter.inference.triton_errors import cause_of, domain_error

EXPECTED: dict[grpc.StatusCode, type[ArchRouterError]] = {
    grpc.StatusCode.CANCELLED: BackendUnavailableError,
    grpc.StatusCode.UNKNOWN: BackendUnavailableError,
    grpc.StatusCode.INVALID_ARGUMENT: BackendProtocolError,
    grpc.StatusCode.DEADLINE_EXCEEDED: BudgetExceededError,
    grpc.StatusCode.NOT_FOUND: ModelNotReadyError,
    grpc.StatusCode.ALREADY_EXISTS: BackendProtocolError,
    grpc.StatusCode.PERMISSION_DENIED: BackendProtocolError,
    grpc.StatusCode.UNAUTHENTICATED: BackendProtocolError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.FAILED_PRECONDITION: BackendProtocolError,
    grpc.StatusCode.ABORTED: BackendUnavailableError,
    grpc.StatusCode.UNIMPLEMENTED: BackendProtocolError,
    grpc.StatusCode.OUT_OF_RANGE: BackendProtocolError,
    grpc.StatusCode.INTERNAL: BackendUnavailableError,
    grpc.StatusCode.UNAVAILABLE: BackendUnavailableError,
    grpc.StatusCode.DATA_LOSS: BackendUnavailableError,
}


def translated(message: str | None, status: grpc.StatusCode) -> ArchRouterError:
    """Put a call's end into the map and return what comes out."""
    return domain_error("router", aio.AioRpcError(status, aio.Metadata(), aio.Metadata(), message))


@pytest.mark.parametrize("status", [status for status in grpc.StatusCode if status is not grpc.StatusCode.OK])
def test_every_status_has_a_domain_error(status: grpc.StatusCode) -> None:
    """No status of gRPC is left unmapped, also not one that a later version adds."""
    assert EXPECTED[status] is type(translated("boom", status))


def test_a_full_executor_queue_is_overload_although_it_comes_as_internal() -> None:
    """It is told by its text, because TensorRT-LLM gives it no status of its own."""
    text = "Maximum queue size of 256 has been reached, please try again later"

    assert OverloadedError is type(translated(text, grpc.StatusCode.INTERNAL))


def test_an_engine_without_logits_breaks_the_contract_although_it_comes_as_internal() -> None:
    """No retry and no other moment helps: the engine was built without them."""
    text = "To return generation logits, gather_generation_logits must be enabled in ExecutorConfig"

    assert BackendProtocolError is type(translated(text, grpc.StatusCode.INTERNAL))


def test_a_status_without_words_is_no_fault_of_the_map() -> None:
    """A server need not say anything about its status."""
    assert BackendUnavailableError is type(translated(None, grpc.StatusCode.INTERNAL))


async def test_the_original_error_is_kept_as_the_cause() -> None:
    """The log can show what Triton said, or why nobody could ask it."""
    client = TritonClient("127.0.0.1:1", max_concurrent_requests=1)
    with pytest.raises(ArchRouterError) as asked:
        await client.model_config("router", timeout_s=1.0)
    with pytest.raises(ArchRouterError) as inferred:
        await client.infer("router", (), (), timeout_s=1.0)
    await client.close()

    assert isinstance(asked.value.__cause__, aio.AioRpcError)
    assert isinstance(inferred.value.__cause__, aio.AioRpcError)


async def test_the_log_has_what_triton_said_on_one_line() -> None:
    """An error of gRPC spells itself over several lines, with places in its own source."""
    client = TritonClient("127.0.0.1:1", max_concurrent_requests=1)
    with pytest.raises(ArchRouterError) as caught:
        await client.infer("router", (), (), timeout_s=1.0)
    await client.close()

    cause = cause_of(caught.value)

    assert cause.startswith("UNAVAILABLE: failed to connect to all addresses")
    assert 1 == len(cause.splitlines())


def test_an_error_of_our_own_has_no_cause() -> None:
    """What was found here was said by nobody else."""
    assert not cause_of(BackendProtocolError("output 'scores' is missing"))


def cut_short(message: service_pb2.ModelInferResponse) -> None:
    """Leave the last bytes of a tensor out."""
    message.raw_output_contents[0] = message.raw_output_contents[0][:-2]


def without_content(message: service_pb2.ModelInferResponse) -> None:
    """Name a tensor and send none."""
    message.ClearField("raw_output_contents")


def of_texts(message: service_pb2.ModelInferResponse) -> None:
    """Call numbers texts, which no model of ours answers with."""
    message.outputs[0].datatype = "BYTES"


@pytest.mark.parametrize("spoil", [cut_short, without_content, of_texts])
async def test_tensors_that_are_not_what_they_say_break_the_contract(
    spoil: Callable[[service_pb2.ModelInferResponse], None],
) -> None:
    """No decision rests on them, and the caller is not told of a fault of ours."""

    async def answer(_request: service_pb2.ModelInferRequest, _context: Context) -> service_pb2.ModelInferResponse:
        message = response(scores=np.zeros(3, np.float32))
        spoil(message)
        return message

    async with fake_triton("sha256:x", answer) as endpoint:
        client = TritonClient(endpoint, max_concurrent_requests=1)
        with pytest.raises(BackendProtocolError, match="model 'router' answered with tensors that are not"):
            await client.infer("router", (), (), timeout_s=5.0)
        await client.close()
