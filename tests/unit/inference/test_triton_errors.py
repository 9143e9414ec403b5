"""Triton's failures as domain errors."""

import grpc
import pytest
from tritonclient.utils import InferenceServerException

from archrouter.domain.errors import (
    ArchRouterError,
    BackendProtocolError,
    BackendUnavailableError,
    BudgetExceededError,
    ModelNotReadyError,
    OverloadedError,
)
from archrouter.inference.triton_client import TritonClient
from archrouter.inference.triton_errors import domain_error, status_of

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


def translated(message: str, status: str | None) -> ArchRouterError:
    """Put a client error into the map and return what comes out."""
    return domain_error("router", InferenceServerException(message, status=status))


@pytest.mark.parametrize("status", [status for status in grpc.StatusCode if status is not grpc.StatusCode.OK])
def test_every_status_has_a_domain_error(status: grpc.StatusCode) -> None:
    """No status of gRPC is left unmapped, also not one that a later version adds."""
    assert EXPECTED[status] is type(translated("boom", f"StatusCode.{status.name}"))


def test_a_full_executor_queue_is_overload_although_it_comes_as_internal() -> None:
    """It is told by its text, because TensorRT-LLM gives it no status of its own."""
    text = "Maximum queue size of 256 has been reached, please try again later"

    assert OverloadedError is type(translated(text, "StatusCode.INTERNAL"))


def test_an_engine_without_logits_breaks_the_contract_although_it_comes_as_internal() -> None:
    """No retry and no other moment helps: the engine was built without them."""
    text = "To return generation logits, gather_generation_logits must be enabled in ExecutorConfig"

    assert BackendProtocolError is type(translated(text, "StatusCode.INTERNAL"))


def test_a_fault_found_by_the_client_library_is_ours() -> None:
    """Without a status nothing was sent: the request broke the contract."""
    assert BackendProtocolError is type(translated("unexpected shape", None))


async def test_the_original_error_is_kept_as_the_cause() -> None:
    """The log can show what Triton said, or why nobody could ask it."""
    client = TritonClient("127.0.0.1:1", max_concurrent_requests=1)
    with pytest.raises(ArchRouterError) as asked:
        await client.model_config("router", timeout_s=1.0)
    with pytest.raises(ArchRouterError) as inferred:
        await client.infer("router", (), (), timeout_s=1.0)
    await client.close()

    assert isinstance(asked.value.__cause__, InferenceServerException)
    assert isinstance(inferred.value.__cause__, InferenceServerException)


def test_words_that_are_no_status_count_as_unknown() -> None:
    """No text of the inference server becomes the label of a metric."""
    error = InferenceServerException(msg="refused", status="connection to 10.0.0.7 refused")

    assert grpc.StatusCode.UNKNOWN is status_of(error)
