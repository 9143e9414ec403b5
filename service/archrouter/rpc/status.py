"""Errors to gRPC: the one table of code, reason and details.

What the table does not list is a failure the service has no reason for: its text never leaves the process. The texts
of listed errors are written for callers, except where the table gives a fixed one because the error's own describes
the inference server.

A status travels in trailing metadata, of which a gRPC client accepts 8 KiB by default, so everything here is clipped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from archrouter.domain import errors
from archrouter.domain.findings import Finding, Severity
from archrouter.rpc import errors as edge
from archrouter.rpc.convert.policies import proto_field_path
from archrouter.rpc.convert.routing import duration_to_proto, policy_set_name

ERROR_DOMAIN = "archrouter"

MAX_TEXT_CHARACTERS = 160

MAX_VIOLATION_BYTES = 2_500
"""Together with a message of `MAX_TEXT_CHARACTERS` characters of 4 bytes it stays below 8 KiB on the wire, where the
details grow by base64 (4/3) and the message, which is sent twice, by percent-encoding (3)."""

_UNAVAILABLE = "the inference server does not answer; retry after the delay in RetryInfo"
_NOT_READY = "the model is not ready yet; retry after the delay in RetryInfo"
_SHUTTING_DOWN = "this server is shutting down; retry to reach another one"
_OVERLOADED = "the server has as many calls in flight as it takes; retry after the delay in RetryInfo"
_UNAUTHENTICATED = (
    "the call carries no credentials that this server accepts; send the metadata 'authorization: Bearer <token>', or "
    "connect with a client certificate"
)
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


Details = tuple[Mapping[str, str], Message | None]
"""What one error adds to the reason of its status: metadata of ErrorInfo, which has every dynamic part of the message
that no further detail holds, and that detail; None when the kind of error has none."""


def _clipped(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARACTERS else text[: MAX_TEXT_CHARACTERS - 1] + "…"


def _field_errors(error: errors.InvalidRequestError | errors.PolicySetInvalidError) -> tuple[Finding, ...]:
    """List the malformed fields of a request, with proto field paths, at least one."""
    found = tuple(finding for finding in error.findings if finding.severity is Severity.ERROR)
    if isinstance(error, errors.InvalidRequestError):
        return found
    return tuple(
        replace(one, field_path=f"inline_policy_set.{proto_field_path(one.field_path)}".rstrip(".")) for one in found
    )


def _bad_request(error: errors.InvalidRequestError | errors.PolicySetInvalidError) -> Details:
    """Name every offending field, as far as the metadata's size allows; the count tells whether some are left out."""
    findings = _field_errors(error)
    detail = error_details_pb2.BadRequest()
    for finding in findings:
        message = error_details_pb2.BadRequest.FieldViolation(
            field=_clipped(finding.field_path), description=_clipped(finding.message)
        )
        if detail.ByteSize() + message.ByteSize() > MAX_VIOLATION_BYTES:
            break
        detail.field_violations.append(message)
    return {"field": _clipped(findings[0].field_path), "violationCount": str(len(findings))}, detail


def _prompt_too_long(error: errors.PromptTooLongError) -> Details:
    counts = {"promptTokenCount": error.prompt_token_count, "maxPromptTokenCount": error.max_prompt_token_count}
    return {name: str(count) for name, count in counts.items()}, None


def _too_large(error: edge.RequestTooLargeError) -> Details:
    return {"requestBytes": str(error.byte_count), "maxRequestBytes": str(error.max_byte_count)}, None


def _policy_set_not_found(error: errors.PolicySetNotFoundError) -> Details:
    name = policy_set_name(error.policy_set_id)
    return {"policySet": name}, _resource(name, error)


def _revision_not_found(error: errors.PolicySetRevisionNotFoundError) -> Details:
    name = policy_set_name(error.policy_set_id)
    return {"policySet": name, "activeRevision": error.active_revision}, _resource(name, error)


def _resource(name: str, error: errors.ArchRouterError) -> error_details_pb2.ResourceInfo:
    return error_details_pb2.ResourceInfo(
        resource_type="archrouter/PolicySet", resource_name=name, description=_clipped(str(error))
    )


def _retry_later(error: errors.OverloadedError | errors.UnavailableError) -> Details:
    return {}, error_details_pb2.RetryInfo(retry_delay=duration_to_proto(error.retry_after_s))


def _missing(setting: str, error: Exception) -> Details:
    violation = error_details_pb2.PreconditionFailure.Violation(
        type="SETTING", subject=setting, description=_clipped(str(error))
    )
    return {"setting": setting}, error_details_pb2.PreconditionFailure(violations=[violation])


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of error on the wire.

    Attributes:
        code: Status code.
        reason: Reason of ErrorInfo, without its prefix.
        details: What else the status holds.
        text: Message of the status; empty where the error's own text is sent.
    """

    code: StatusCode
    reason: str
    details: Callable[[Any], Details] = lambda _error: ({}, None)  # Any: the error of its own row
    text: str = ""


TABLE: Mapping[type[errors.ArchRouterError], Row] = MappingProxyType(
    {
        errors.InvalidRequestError: Row(StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID", _bad_request),
        errors.PromptTooLongError: Row(StatusCode.INVALID_ARGUMENT, "PROMPT_TOO_LONG", _prompt_too_long),
        errors.PolicySetInvalidError: Row(StatusCode.INVALID_ARGUMENT, "POLICY_SET_INVALID", _bad_request),
        errors.PolicySetNotFoundError: Row(StatusCode.NOT_FOUND, "POLICY_SET_NOT_FOUND", _policy_set_not_found),
        errors.PolicySetRevisionNotFoundError: Row(
            StatusCode.NOT_FOUND, "POLICY_SET_REVISION_NOT_FOUND", _revision_not_found
        ),
        errors.NoDefaultPolicySetError: Row(
            StatusCode.FAILED_PRECONDITION,
            "DEFAULT_POLICY_SET_MISSING",
            lambda error: _missing("policies.default", error),
        ),
        edge.InlinePolicyDisabledError: Row(
            StatusCode.FAILED_PRECONDITION,
            "INLINE_POLICY_DISABLED",
            lambda error: _missing("policies.inline_enabled", error),
        ),
        edge.FeatureDisabledError: Row(
            StatusCode.FAILED_PRECONDITION, "FEATURE_DISABLED", lambda error: _missing(error.setting, error)
        ),
        edge.RequestTooLargeError: Row(StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE", _too_large),
        edge.AdmissionError: Row(StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", _retry_later, _OVERLOADED),
        errors.OverloadedError: Row(StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", _retry_later, _OVERLOADED),
        errors.UnavailableError: Row(StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE", _retry_later, _UNAVAILABLE),
        errors.BackendUnavailableError: Row(StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE", _retry_later, _UNAVAILABLE),
        errors.ModelNotReadyError: Row(StatusCode.UNAVAILABLE, "MODEL_NOT_READY", _retry_later, _NOT_READY),
        edge.ShuttingDownError: Row(StatusCode.UNAVAILABLE, "SHUTTING_DOWN", _retry_later, _SHUTTING_DOWN),
        errors.BudgetExceededError: Row(
            StatusCode.DEADLINE_EXCEEDED,
            "DEADLINE_TOO_SHORT",
            lambda error: ({"remainingSeconds": f"{error.remaining_s:.3f}"}, None),
        ),
        errors.BackendProtocolError: Row(StatusCode.INTERNAL, "BACKEND_PROTOCOL", text=_INTERNAL),
        edge.AuthenticationError: Row(StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID", text=_UNAUTHENTICATED),
        edge.AuthorizationError: Row(
            StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", lambda error: ({"scope": error.scope}, None)
        ),
        # Raised while a bundle is loaded, never by a request; should it reach one, the caller cannot help it.
        errors.PromptTemplateError: Row(StatusCode.INTERNAL, "INTERNAL", text=_INTERNAL),
    }
)

_UNKNOWN = Row(StatusCode.INTERNAL, "INTERNAL", text=_INTERNAL)


def describe_failure(error: Exception, decision_id: str) -> Failure:
    """Turn an exception into what the caller gets; one without a row becomes INTERNAL with a fixed text.

    The log knows the failure under `decision_id`. The details are small enough for trailing metadata.
    """
    listed = next((kind for kind in type(error).__mro__ if kind in TABLE), None)
    row = TABLE[listed] if listed else _UNKNOWN
    found, further = row.details(error)
    metadata = dict(found)
    if row.code is StatusCode.INTERNAL:
        metadata["decisionId"] = decision_id
    reason = f"ERROR_REASON_{row.reason}"
    status = status_pb2.Status(code=row.code.value[0], message=row.text or _clipped(_public_text(error)))
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=ERROR_DOMAIN, metadata=metadata))
    if further is not None:
        status.details.add().Pack(further)
    # The text of an unlisted exception is for the traceback's log line only: it may hold anything.
    cause = str(error) if listed and row.text else "" if listed else type(error).__name__
    return Failure(status, reason, cause)


def _public_text(error: Exception) -> str:
    if not isinstance(error, errors.InvalidRequestError | errors.PolicySetInvalidError):
        return str(error)
    first, *more = _field_errors(error)
    text = f"{first.field_path}: {first.message}" if first.field_path else first.message
    return f"{text} (first of {len(more) + 1} violations)" if more else text
