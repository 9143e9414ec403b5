"""Domain errors to gRPC: the one table of code, reason and details.

What the table does not list is a failure the service has no reason for: its text never leaves the process. The texts
of listed errors are written for callers, except where the table gives a fixed one because the error's own describes
the inference server.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from archrouter.domain import errors
from archrouter.rpc import error_details
from archrouter.rpc import errors as edge
from archrouter.v1 import ErrorReason

ERROR_DOMAIN = "archrouter"

_UNAVAILABLE = "the inference server does not answer; retry after the delay in RetryInfo"
_NOT_READY = "the model is not ready yet; retry after the delay in RetryInfo"
_SHUTTING_DOWN = "this server is shutting down; retry to reach another one"
_OVERLOADED = "the server has as many calls in flight as it takes; retry after the delay in RetryInfo"
_INTERNAL = "the server failed; report the decision id to its operator"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call.

    Attributes:
        status: What the caller gets.
        reason: Name of the ErrorReason in it.
        cause: What the caller does not get; empty when the status says it all.
    """

    status: status_pb2.Status
    reason: str
    cause: str


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of error on the wire.

    Attributes:
        code: Status code.
        reason: Reason of ErrorInfo.
        details: What else the status holds.
        text: Message of the status; empty where the error's own text is sent.
    """

    code: StatusCode
    reason: ErrorReason.ValueType
    details: Callable[[Any], error_details.ErrorDetails] = error_details.no_details  # Any: the error of its own row
    text: str = ""


TABLE: Mapping[type[errors.ArchRouterError], Row] = MappingProxyType(
    {
        errors.InvalidRequestError: Row(
            StatusCode.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_REQUEST_INVALID, error_details.bad_request
        ),
        errors.PromptTooLongError: Row(
            StatusCode.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_PROMPT_TOO_LONG, error_details.prompt_too_long
        ),
        errors.PolicySetInvalidError: Row(
            StatusCode.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_POLICY_SET_INVALID, error_details.bad_request
        ),
        edge.InlinePolicyDisabledError: Row(
            StatusCode.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_INLINE_POLICY_DISABLED,
            error_details.inline_policy_disabled,
        ),
        errors.PolicySetNotFoundError: Row(
            StatusCode.NOT_FOUND, ErrorReason.ERROR_REASON_POLICY_SET_NOT_FOUND, error_details.policy_set_not_found
        ),
        errors.NoDefaultPolicySetError: Row(
            StatusCode.FAILED_PRECONDITION,
            ErrorReason.ERROR_REASON_DEFAULT_POLICY_SET_MISSING,
            error_details.default_policy_set_missing,
        ),
        edge.FeatureDisabledError: Row(
            StatusCode.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_FEATURE_DISABLED, error_details.feature_disabled
        ),
        edge.AdmissionError: Row(
            StatusCode.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_OVERLOADED, error_details.retry_later, _OVERLOADED
        ),
        errors.OverloadedError: Row(
            StatusCode.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_OVERLOADED, error_details.retry_later, _OVERLOADED
        ),
        errors.UnavailableError: Row(
            StatusCode.UNAVAILABLE,
            ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE,
            error_details.retry_later,
            _UNAVAILABLE,
        ),
        errors.BackendUnavailableError: Row(
            StatusCode.UNAVAILABLE,
            ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE,
            error_details.retry_later,
            _UNAVAILABLE,
        ),
        errors.ModelNotReadyError: Row(
            StatusCode.UNAVAILABLE, ErrorReason.ERROR_REASON_MODEL_NOT_READY, error_details.retry_later, _NOT_READY
        ),
        edge.ShuttingDownError: Row(
            StatusCode.UNAVAILABLE, ErrorReason.ERROR_REASON_SHUTTING_DOWN, error_details.retry_later, _SHUTTING_DOWN
        ),
        errors.BudgetExceededError: Row(
            StatusCode.DEADLINE_EXCEEDED,
            ErrorReason.ERROR_REASON_DEADLINE_TOO_SHORT,
            error_details.deadline_too_short,
        ),
        errors.BackendProtocolError: Row(
            StatusCode.INTERNAL, ErrorReason.ERROR_REASON_BACKEND_PROTOCOL, text=_INTERNAL
        ),
        edge.AuthenticationError: Row(StatusCode.UNAUTHENTICATED, ErrorReason.ERROR_REASON_CREDENTIALS_INVALID),
        edge.AuthorizationError: Row(
            StatusCode.PERMISSION_DENIED, ErrorReason.ERROR_REASON_PERMISSION_DENIED, error_details.permission_denied
        ),
        # Raised while a bundle is loaded, never by a request; should it reach one, the caller cannot help it.
        errors.PromptTemplateError: Row(StatusCode.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, text=_INTERNAL),
    }
)

_UNKNOWN = Row(StatusCode.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, text=_INTERNAL)


def describe_failure(error: Exception, decision_id: str) -> Failure:
    """Turn an exception into what the caller gets.

    Args:
        error: Any exception; one without a row becomes INTERNAL with a fixed text.
        decision_id: Id under which the log knows the failure.

    Returns:
        A status with its details, small enough for trailing metadata.
    """
    listed = next((kind for kind in type(error).__mro__ if kind in TABLE), None)
    row = TABLE[listed] if listed else _UNKNOWN
    details = row.details(error)
    metadata = dict(details.metadata)
    if row.code is StatusCode.INTERNAL:
        metadata["decisionId"] = decision_id
    reason = ErrorReason.Name(row.reason)
    status = status_pb2.Status(code=row.code.value[0], message=row.text or error_details.clipped(_public_text(error)))
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=ERROR_DOMAIN, metadata=metadata))
    if details.further is not None:
        status.details.add().Pack(details.further)
    # The text of an unlisted exception is for the traceback's log line only: nobody vouches for what it holds.
    cause = str(error) if listed and row.text else "" if listed else type(error).__name__
    return Failure(status, reason, cause)


def _public_text(error: Exception) -> str:
    if not isinstance(error, errors.InvalidRequestError | errors.PolicySetInvalidError):
        return str(error)
    first, *more = error_details.field_findings(error)
    text = f"{first.field_path}: {first.message}" if first.field_path else first.message
    return f"{text} (first of {len(more) + 1} violations)" if more else text


def reason_of(status: status_pb2.Status) -> str:
    """Read the name of the ErrorReason out of a status that `describe_failure` made."""
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return info.reason
