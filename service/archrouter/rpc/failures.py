"""Failed calls and failed items of a batch: what the caller gets, and what the log keeps."""

import grpc
import structlog
from google.rpc import status_pb2

from archrouter.rpc.call import current_call
from archrouter.rpc.status import describe_failure

_log = structlog.get_logger(__name__)


def record_failure(error: Exception, decision_id: str) -> status_pb2.Status:
    """Note a failure in the current call's log line and turn it into a status.

    Of several failures of one batch the first is noted. A failure that is the server's own fault gets a log line with
    its traceback as well.

    Args:
        error: Any exception but cancellation.
        decision_id: Id of the decision that failed.

    Returns:
        What the caller gets.
    """
    failure = describe_failure(error, decision_id)
    call = current_call()
    if not call.error_reason:
        call.error_reason, call.error_cause = failure.reason, failure.cause
    if failure.status.code == grpc.StatusCode.INTERNAL.value[0]:
        _log.error("rpc_failed", decision_id=decision_id, error_reason=failure.reason, exc_info=error)
    return failure.status
