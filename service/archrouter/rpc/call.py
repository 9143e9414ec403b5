"""What is known about the call that is being answered."""

import math
from contextvars import ContextVar, Token
from dataclasses import dataclass, field

DECISION_ID_KEY = "archrouter-decision-id"
"""Trailing metadata of each call of the API, whether it succeeds or not."""


@dataclass(slots=True)
class Call:
    """One call of the API.

    The one mutable record of a call: interceptors and the servicer complete it as the call proceeds, and the log line
    is written from it. It lives in a context variable, so the tasks of a batch share it.

    Attributes:
        rpc_service: Full service name, e.g. ``archrouter.v1.RoutingService``.
        rpc_method: Method name, e.g. ``SelectRoute``.
        decision_id: Id the call is known under in the log, in the response and in trailing metadata.
        deadline_s: Moment on the service's monotonic clock by which the answer is due, in seconds.
        error_reason: Name of the ErrorReason sent; empty while nothing has failed.
        error_cause: What the caller is not told about the failure; empty when there is no more to say.
        log_fields: Further fields of the call's log line.
    """

    rpc_service: str
    rpc_method: str
    decision_id: str
    deadline_s: float = math.inf
    error_reason: str = ""
    error_cause: str = ""
    log_fields: dict[str, object] = field(default_factory=dict)


_CURRENT: ContextVar[Call] = ContextVar("archrouter_call")


def enter_call(call: Call) -> Token[Call]:
    """Make a call the current one of this task and of the tasks it starts.

    Args:
        call: The call.

    Returns:
        What `leave_call` needs.
    """
    return _CURRENT.set(call)


def leave_call(token: Token[Call]) -> None:
    """Restore what was current before `enter_call`.

    Args:
        token: What `enter_call` returned.
    """
    _CURRENT.reset(token)


def current_call() -> Call:
    """Return the call that is being answered.

    Returns:
        The call the logging interceptor entered.

    Raises:
        LookupError: Outside of any call.
    """
    return _CURRENT.get()
