"""The table of domain errors."""

import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from archrouter import v1
from archrouter.domain import errors
from archrouter.domain.findings import Finding, Severity
from archrouter.rpc import errors as edge
from archrouter.rpc.status import MAX_TEXT_CHARACTERS, TABLE, describe_failure

UNREACHABLE_REASONS = {"ERROR_REASON_UNSPECIFIED"}
METADATA_LIMIT_BYTES = 8 * 1024
OWNERS = {errors.__name__, edge.__name__}


def every_error() -> set[type[errors.ArchRouterError]]:
    """List the whole tree below the root: what the core and the edge raise."""
    found: set[type[errors.ArchRouterError]] = set()
    open_classes = [errors.ArchRouterError]
    while open_classes:
        children = [kind for kind in open_classes.pop().__subclasses__() if kind.__module__ in OWNERS]
        found.update(children)
        open_classes.extend(children)
    return found


def size_on_the_wire(status: status_pb2.Status) -> int:
    """Count the bytes of a status in trailing metadata: details in base64, the message percent-encoded at worst."""
    return status.ByteSize() * 4 // 3 + len(status.message.encode()) * 3


def test_every_error_has_a_row() -> None:
    """No error that is raised on purpose reaches a caller as an unknown one."""
    assert every_error() == TABLE.keys()


def test_every_reason_of_the_api_is_used() -> None:
    """No reason is documented that no error has."""
    assert set(v1.ErrorReason.keys()) - UNREACHABLE_REASONS == {f"ERROR_REASON_{row.reason}" for row in TABLE.values()}


def test_subclass_has_the_row_of_its_nearest_listed_base() -> None:
    """An adapter may refine an error without a row of its own."""

    class RefusedConnectionError(errors.BackendUnavailableError):
        """The inference server's port is closed."""

    failure = describe_failure(RefusedConnectionError("closed", retry_after_s=1.0), "id-1")

    assert ("ERROR_REASON_BACKEND_UNAVAILABLE", "closed") == (failure.reason, failure.cause)


@pytest.mark.parametrize(
    "error", [KeyError("secret"), errors.ArchRouterError("secret"), ExceptionGroup("secret", [OSError()])]
)
def test_unlisted_exception_tells_nothing_but_the_decision_id(error: Exception) -> None:
    """What nobody vouches for is reduced to its type in the log line and to an id for the caller."""
    failure = describe_failure(error, "id-1")

    info = error_details_pb2.ErrorInfo()
    assert failure.status.details[0].Unpack(info)
    assert StatusCode.INTERNAL.value[0] == failure.status.code
    assert {"decisionId": "id-1"} == dict(info.metadata)
    assert b"secret" not in failure.status.SerializeToString()
    assert type(error).__name__ == failure.cause


def test_message_of_several_violations_tells_the_first_and_their_number() -> None:
    """The status message is one readable sentence however much is wrong."""
    findings = (Finding(Severity.ERROR, "view", "is odd"), Finding(Severity.ERROR, "messages", "are missing"))

    failure = describe_failure(errors.InvalidRequestError(findings), "id-1")

    assert "view: is odd (first of 2 violations)" == failure.status.message
    assert "" == failure.cause


def test_warnings_of_an_invalid_policy_set_are_no_violations() -> None:
    """BadRequest names what keeps the policy set from being used, and nothing else."""
    findings = (
        Finding(Severity.WARNING, "routes[0].description", "is short"),
        Finding(Severity.ERROR, "", "is empty"),
    )

    failure = describe_failure(errors.PolicySetInvalidError(findings), "id-1")

    detail = error_details_pb2.BadRequest()
    assert failure.status.details[1].Unpack(detail)
    assert [("inline_policy_set", "is empty")] == [(one.field, one.description) for one in detail.field_violations]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(
            errors.InvalidRequestError(
                tuple(Finding(Severity.ERROR, f"messages[{i}]", "\U0001f600" * 999) for i in range(999))
            ),
            id="many_long_violations",
        ),
        pytest.param(errors.InvalidRequestError((Finding(Severity.ERROR, "x" * 99_999, "y"),)), id="long_path"),
        pytest.param(
            errors.PolicySetInvalidError((Finding(Severity.ERROR, "routes", "\U0001f600" * 99_999),)), id="long_finding"
        ),
    ],
)
def test_status_always_fits_into_trailing_metadata(error: errors.ArchRouterError) -> None:
    """No error is so large that the transport would replace it by one of its own."""
    failure = describe_failure(error, "id-1")

    assert size_on_the_wire(failure.status) < METADATA_LIMIT_BYTES
    assert len(failure.status.message) <= MAX_TEXT_CHARACTERS
