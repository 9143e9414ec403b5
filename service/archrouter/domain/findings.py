"""Findings: what is wrong with a policy set, where, and what to do about it."""

from dataclasses import dataclass
from enum import Enum

MAX_QUOTED_CHARACTERS = 60
"""A finding quotes what its author wrote; a whole essay in its place would only hide the message."""


class Severity(Enum):
    """How bad a finding is: an error keeps a policy set from being used, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a policy set.

    Attributes:
        severity: Whether the problem keeps the set from being used.
        field_path: Path of the offending field, e.g. ``domains[0].actions[1].description``.
        message: What is wrong, with which value, and the remedy.
        line: 1-based line in the source text; 0 when the set did not come from text.
        column: 1-based column in the source text; 0 when unknown.
    """

    severity: Severity
    field_path: str
    message: str
    line: int = 0
    column: int = 0

    @property
    def log_fields(self) -> dict[str, object]:
        """What a log line says of it."""
        return {"line": self.line, "column": self.column, "field_path": self.field_path, "reason": self.message}


def error_at(field_path: str, message: str) -> Finding:
    """Make the finding of an error in what did not come from text, or is located in it later."""
    return Finding(Severity.ERROR, field_path, message)


def has_errors(findings: tuple[Finding, ...]) -> bool:
    """Say whether any of them is an error, which keeps the policy set from being used."""
    return any(finding.severity is Severity.ERROR for finding in findings)


def quoted(text: str) -> str:
    """Quote a value in a message: its first `MAX_QUOTED_CHARACTERS` characters, escaped; ``...`` is for the rest."""
    return repr(text) if len(text) <= MAX_QUOTED_CHARACTERS else repr(text[:MAX_QUOTED_CHARACTERS]) + "..."
