"""What a foreign configuration says: mappings that remember which of their keys were understood, and notes on the rest.

A value that was not understood is never shown, because keys and addresses of providers stand there.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from archrouter.domain.findings import quoted
from archrouter.domain.policy import ModelTarget

Plain: TypeAlias = "bool | float | str | list[Plain] | dict[str, Plain] | None"

NO_COUNTERPART = "has no counterpart in a policy file"
_SIMPLE_KEY = re.compile(r"[\w-]{1,64}")
_MAX_KEY_CHARACTERS = 64


class ForeignError(Exception):
    """A foreign configuration cannot be imported; the text names the place and the remedy."""


class Kind(Enum):
    """What became of a fact."""

    LEFT_OUT = "left out"
    DERIVED = "derived"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the report.

    Attributes:
        kind: Whether the fact is missing, was made from others, or was made up.
        place: Path in the foreign configuration.
        text: What became of it, and why.
    """

    kind: Kind
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class ForeignRoute:
    """A route as the foreign configuration describes it.

    Attributes:
        place: Its path there.
        name: Any text that is not empty.
        description: May be empty.
        models: Best first; may be empty.
        utterances: What users say when it is meant, of any number and length.
        not_utterances: What they say when it is not.
    """

    place: str
    name: str
    description: str
    models: tuple[ModelTarget, ...] = ()
    utterances: tuple[str, ...] = ()
    not_utterances: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignSet:
    """All routes, and the models for requests that none matches; empty where the configuration names none."""

    routes: tuple[ForeignRoute, ...]
    fallback: tuple[ModelTarget, ...] = ()


@dataclass(slots=True)
class Facts:
    """A mapping of a foreign configuration.

    Attributes:
        values: Its members.
        path: Where it stands; empty for the document.
        notes: Shared by all mappings of the document.
    """

    values: Mapping[str, Plain]
    path: str
    notes: list[Note]
    _taken: set[str] = field(default_factory=set)

    def place(self, key: str) -> str:
        """Return the path of a member."""
        shown = key if _SIMPLE_KEY.fullmatch(key) else json.dumps(key[:_MAX_KEY_CHARACTERS])
        return f"{self.path}.{shown}" if self.path else shown

    def note(self, kind: Kind, key: str, text: str) -> None:
        """Report what became of a member."""
        self.notes.append(Note(kind, self.place(key), text))

    def take(self, key: str) -> Plain:
        """Return a member, None when it is missing, and count it as understood."""
        self._taken.add(key)
        return self.values.get(key)

    def text(self, key: str) -> str:
        """Return a text without outer spaces; empty when it is missing."""
        value = self.take(key)
        if value is not None and not isinstance(value, str):
            raise _wrong(self.place(key), "text")
        return (value or "").strip()

    def needed(self, key: str, remedy: str) -> str:
        """Return a text that must be there."""
        text = self.text(key)
        if not text:
            msg = f"{self.place(key)} is missing or empty; {remedy}"
            raise ForeignError(msg)
        return text

    def table(self, key: str) -> "Facts":
        """Return a mapping, an empty one when it is missing."""
        value = self.take(key)
        if value is not None and not isinstance(value, dict):
            raise _wrong(self.place(key), "a mapping")
        return Facts(value or {}, self.place(key), self.notes)

    def tables(self, key: str) -> list["Facts"]:
        """Return the mappings of a list, none when it is missing."""
        value = self.take(key)
        if value is not None and not isinstance(value, list):
            raise _wrong(self.place(key), "a list")
        tables = []
        for index, item in enumerate(value or []):
            path = f"{self.place(key)}[{index}]"
            if not isinstance(item, dict):
                raise _wrong(path, "a mapping")
            tables.append(Facts(item, path, self.notes))
        return tables

    def texts(self, key: str) -> tuple[str, ...]:
        """Return the texts of a list; items of another kind are reported and left out."""
        value = self.take(key)
        if value is not None and not isinstance(value, list):
            raise _wrong(self.place(key), "a list")
        for index, item in enumerate(value or []):
            if not isinstance(item, str):
                self.notes.append(Note(Kind.LEFT_OUT, f"{self.place(key)}[{index}]", "is no text"))
        return tuple(item for item in value or [] if isinstance(item, str))

    def close(self, reasons: Mapping[str, str]) -> None:
        """Report every member that says something and was not understood; `reasons` tells why, by key."""
        for key, value in self.values.items():
            if key not in self._taken and value not in (None, "", [], {}):
                self.note(Kind.LEFT_OUT, key, reasons.get(key, NO_COUNTERPART))


def _wrong(place: str, needed: str) -> ForeignError:
    return ForeignError(f"{place} is not {needed}; correct it, or remove it before the import")


def number_note(value: Plain, meaning: str) -> str:
    """Say why a number is left out; only a number is shown, whatever else may stand in its place."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value} {meaning}" if is_number else meaning


def named(text: str) -> str:
    """Quote a name for the report."""
    return quoted(text)
