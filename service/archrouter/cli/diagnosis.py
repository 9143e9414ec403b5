"""What `archrouter doctor` says of one thing that it looked at."""

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at: what, how bad, what was seen, and what to do, empty where there is nothing to."""

    subject: str
    level: Level
    seen: str
    remedy: str = ""
