"""What goes wrong, by how far it reaches.

::

    DraftingError
    ├── SetupError              before any call: the settings, the key, a file
    ├── StopError               ends the run; what is finished stays
    │   ├── EndpointUnusableError
    │   ├── BudgetExhaustedError
    │   ├── InterruptedRunError
    │   └── JournalWriteError
    ├── ItemError               ends the work on one topic, policy or dialogue
    │   ├── RejectedError       for good: the next run comes to the same end without a call
    │   └── UnansweredError     for now: the next run asks again
    ├── TransientError          no answer; the same request may succeed later
    └── RequestRefusedError     no answer; the same request will be refused again

An answer that was paid for and cannot be used (`UnusableAnswerError`) is asked for again while attempts are left.
"""

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """How a run ends."""

    COMPLETE = 0
    LOW_YIELD = 1
    USAGE = 2
    ENDPOINT = 3
    BUDGET = 4
    INTERRUPTED = 5


class Rejection(StrEnum):
    """Why something is not part of the data."""

    ANSWER_UNUSABLE = "answer_unusable"
    REQUEST_REFUSED = "request_refused"
    POLICY_TURNED_DOWN = "policy_turned_down"
    TOO_FEW_POLICIES = "too_few_policies"
    LABELS_DISAGREE = "labels_disagree"
    NOT_COHERENT = "not_coherent"


class DraftingError(Exception):
    """The root of this package's errors; the text says what happened and what to do."""


class SetupError(DraftingError):
    """The run cannot start."""


class StopError(DraftingError):
    """The run makes no further call; answers that are already recorded are still used."""

    exit_code = ExitCode.ENDPOINT


class EndpointUnusableError(StopError):
    """The endpoint answers nothing, or says that it will not."""


class BudgetExhaustedError(StopError):
    """One of the limits of ``[budget]`` is reached."""

    exit_code = ExitCode.BUDGET


class InterruptedRunError(StopError):
    """Someone asked the run to end."""

    exit_code = ExitCode.INTERRUPTED


class JournalWriteError(StopError):
    """An answer cannot be recorded, so none may be bought."""

    exit_code = ExitCode.USAGE


class ItemError(DraftingError):
    """One topic, policy or dialogue gives no data."""


class RejectedError(ItemError):
    """The attempts are used up."""

    def __init__(self, reason: Rejection, message: str) -> None:
        """Keep the reason for the counters and the message for people."""
        super().__init__(message)
        self.reason = reason


class UnansweredError(ItemError):
    """The endpoint kept failing on this request while it answered others."""


class TransientError(DraftingError):
    """The request failed and may be repeated."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """Keep how long the endpoint asks to wait, in seconds; None when it does not say."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RequestRefusedError(DraftingError):
    """The endpoint finds fault with the request itself."""
