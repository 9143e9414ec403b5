"""The one error of the client."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

ERROR_DOMAIN = "archrouter"

_STATUS_DETAILS_KEY = "grpc-status-details-bin"
_DECISION_ID_KEY = "archrouter-decision-id"
_NANOSECONDS_PER_S = 1e9
_FAIL_OPEN_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,  # by the server: whoever cancels a call of its own gets no RoutingError
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.ABORTED,
    }
)


class RoutingError(Exception):
    """A call failed.

    Attributes:
        code: The gRPC status code.
        message: The status message; for people, its wording may change.
        reason: Name of the `archrouter.v1.ErrorReason`, e.g. ``ERROR_REASON_OVERLOADED``; empty when the failure did
            not come from the service itself, e.g. because nothing listens at the target.
        metadata: What ErrorInfo says beside the reason.
        retry_after_s: Seconds to wait before the next call; None when the service advises none.
        decision_id: Id to look the call up by in the service's log; empty when the service did not answer.
        rich_status: The serialised `google.rpc.Status` as it came, for details this class does not know; empty when
            there was none.
    """

    def __init__(self, code: grpc.StatusCode, message: str, rich_status: bytes = b"", decision_id: str = "") -> None:
        """Decode what is known of the rich status, and keep all of it."""
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.reason = ""
        self.metadata: Mapping[str, str] = {}
        self.retry_after_s: float | None = None
        self.decision_id = decision_id
        self.rich_status = rich_status
        for detail in _decode(rich_status).details:
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(retry):
                self.retry_after_s = retry.retry_delay.ToNanoseconds() / _NANOSECONDS_PER_S

    @property
    def fails_open(self) -> bool:
        """Whether the service is at fault, so that the caller's own models are the better answer.

        A request that is too large for the transport and an overloaded server have one code; only the latter comes
        with a reason.
        """
        if self.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return self.reason == "ERROR_REASON_OVERLOADED"
        return self.code in _FAIL_OPEN_CODES

    @classmethod
    def from_rpc_error(cls, error: grpc.aio.AioRpcError | grpc.Call) -> Self:
        """Translate gRPC's error.

        Args:
            error: As a stub raised it.

        Returns:
            The same failure; nothing of its status is lost.
        """
        trailing = dict(error.trailing_metadata() or ())
        rich_status, decision_id = trailing.get(_STATUS_DETAILS_KEY), trailing.get(_DECISION_ID_KEY)
        return cls(
            error.code(),
            error.details() or "",
            rich_status if isinstance(rich_status, bytes) else b"",
            decision_id if isinstance(decision_id, str) else "",
        )


@contextmanager
def rpc_errors_translated() -> Iterator[None]:
    """Turn gRPC's errors inside the block into the client's own.

    Raises:
        RoutingError: From the `grpc.RpcError` that left the block.
    """
    try:
        yield
    except grpc.RpcError as error:
        if not isinstance(error, grpc.aio.AioRpcError | grpc.Call):
            raise
        raise RoutingError.from_rpc_error(error) from error


def _decode(rich_status: bytes) -> status_pb2.Status:
    """Decode a rich status; garbage that a proxy left there counts as none, because the code still stands."""
    try:
        return status_pb2.Status.FromString(rich_status)
    except DecodeError:
        return status_pb2.Status()
