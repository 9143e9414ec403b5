"""The details of each error status: one function per kind of error, from the error to ErrorInfo's metadata and more.

A status travels in trailing metadata, of which a gRPC client accepts 8 KiB by default, so everything here is clipped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from archrouter.domain.errors import (
    ArchRouterError,
    BudgetExceededError,
    InvalidRequestError,
    OverloadedError,
    PolicySetInvalidError,
    PolicySetNotFoundError,
    PromptTooLongError,
    UnavailableError,
)
from archrouter.domain.findings import Finding, Severity
from archrouter.rpc.convert.policies import proto_field_path
from archrouter.rpc.convert.routing import policy_set_name
from archrouter.rpc.errors import AdmissionError, AuthorizationError, FeatureDisabledError

MAX_TEXT_CHARACTERS = 160

MAX_VIOLATION_BYTES = 2_500
"""Together with a message of `MAX_TEXT_CHARACTERS` characters of 4 bytes it stays below 8 KiB on the wire, where the
details grow by base64 (4/3) and the message, which is sent twice, by percent-encoding (3)."""


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """What one error adds to the reason of its status.

    Attributes:
        metadata: Of ErrorInfo: every dynamic part of the message that no further detail holds.
        further: Detail beside ErrorInfo; None when the kind of error has none.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    further: Message | None = None


def clipped(text: str) -> str:
    """Bound a text that may repeat what the caller sent.

    Args:
        text: Of any length.

    Returns:
        At most `MAX_TEXT_CHARACTERS` characters; an ellipsis stands for the rest.
    """
    return text if len(text) <= MAX_TEXT_CHARACTERS else text[: MAX_TEXT_CHARACTERS - 1] + "…"


def field_findings(error: InvalidRequestError | PolicySetInvalidError) -> tuple[Finding, ...]:
    """List the malformed fields of a request.

    Args:
        error: A malformed request, or a request whose inline policy set breaks a rule.

    Returns:
        Errors only, with proto field paths, at least one.
    """
    errors = tuple(finding for finding in error.findings if finding.severity is Severity.ERROR)
    if isinstance(error, InvalidRequestError):
        return errors
    return tuple(
        replace(one, field_path=f"inline_policy_set.{proto_field_path(one.field_path)}".rstrip(".")) for one in errors
    )


def no_details(_error: ArchRouterError) -> ErrorDetails:
    """Give nothing beside the reason."""
    return ErrorDetails()


def bad_request(error: InvalidRequestError | PolicySetInvalidError) -> ErrorDetails:
    """Name every offending field, as far as the metadata's size allows; the count tells whether some are left out."""
    findings = field_findings(error)
    detail = error_details_pb2.BadRequest()
    for finding in findings:
        message = error_details_pb2.BadRequest.FieldViolation(
            field=clipped(finding.field_path), description=clipped(finding.message)
        )
        if detail.ByteSize() + message.ByteSize() > MAX_VIOLATION_BYTES:
            break
        detail.field_violations.append(message)
    metadata = {"field": clipped(findings[0].field_path), "violationCount": str(len(findings))}
    return ErrorDetails(metadata, detail)


def prompt_too_long(error: PromptTooLongError) -> ErrorDetails:
    """Give both token counts."""
    return ErrorDetails(
        {
            "promptTokenCount": str(error.prompt_token_count),
            "maxPromptTokenCount": str(error.max_prompt_token_count),
        }
    )


def inline_policy_disabled(error: ArchRouterError) -> ErrorDetails:
    """Name the switch."""
    return _missing_setting("policies.inline_enabled", error)


def default_policy_set_missing(error: ArchRouterError) -> ErrorDetails:
    """Name the setting that would give a default."""
    return _missing_setting("policies.default", error)


def feature_disabled(error: FeatureDisabledError) -> ErrorDetails:
    """Name the switch."""
    return _missing_setting(error.setting, error)


def policy_set_not_found(error: PolicySetNotFoundError) -> ErrorDetails:
    """Name the policy set that was asked for."""
    name = policy_set_name(error.policy_set_id)
    detail = error_details_pb2.ResourceInfo(
        resource_type="archrouter/PolicySet", resource_name=name, description=clipped(str(error))
    )
    return ErrorDetails({"policySet": name}, detail)


def retry_later(error: AdmissionError | OverloadedError | UnavailableError) -> ErrorDetails:
    """Advise how long to wait."""
    delay = Duration()
    delay.FromNanoseconds(round(error.retry_after_s * 1e9))
    return ErrorDetails(further=error_details_pb2.RetryInfo(retry_delay=delay))


def deadline_too_short(error: BudgetExceededError) -> ErrorDetails:
    """Give the time that was left."""
    return ErrorDetails({"remainingSeconds": f"{error.remaining_s:.3f}"})


def permission_denied(error: AuthorizationError) -> ErrorDetails:
    """Name the missing scope."""
    return ErrorDetails({"scope": error.scope})


def _missing_setting(setting: str, error: ArchRouterError) -> ErrorDetails:
    violation = error_details_pb2.PreconditionFailure.Violation(
        type="SETTING", subject=setting, description=clipped(str(error))
    )
    return ErrorDetails({"setting": setting}, error_details_pb2.PreconditionFailure(violations=[violation]))
