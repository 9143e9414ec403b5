"""Triton's failures as domain errors."""

import grpc
import pytest
from grpc import aio

from archrouter.domain.errors import (
    ArchRouterError,
    BackendProtocolError,
    BackendUnavailableError,
    BudgetExceededError,
    ModelNotReadyError,
    OverloadedError,
)
from archrouter.inference.triton_client import TritonClient
from archrouter.inference.triton_errors import domain_error

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
