"""What a check is: an expectation from reading, and what a host shows."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from first_gpu_run.host import Host, NotCheckedError


class Status(Enum):
    """Outcome of a check."""

    CONFIRMED = "confirmed"
    DIFFERENT = "different"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw.

    Attributes:
        is_as_expected: Whether it confirms the expectation.
        saw: In words, with the numbers.
    """

    is_as_expected: bool
    saw: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to find out.

    Attributes:
        name: Short and unique.
        expectation: What reading says.
        look: Finds out; raises `NotCheckedError` when the host lacks something.
    """

    name: str
    expectation: str
    look: Callable[[Host], Finding]


@dataclass(frozen=True, slots=True)
class Result:
    """A check and its outcome."""

    check: Check
    status: Status
    saw: str


def run_check(check: Check, host: Host) -> Result:
    """Run one check.

    Args:
        check: The check.
        host: What it may look at.

    Returns:
        Its outcome; a check that cannot run says what it needs.
    """
    try:
        finding = check.look(host)
    except NotCheckedError as error:
        return Result(check, Status.NOT_CHECKED, f"needs {error}")
    return Result(check, Status.CONFIRMED if finding.is_as_expected else Status.DIFFERENT, finding.saw)
