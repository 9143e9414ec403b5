"""Typed access to JSON of unknown quality, with the path of what is wrong."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class InvalidDataError(Exception):
    """A JSON document is not what it should be."""

    def __init__(self, *, path: str, problem: str) -> None:
        """Say where, e.g. ``labels[0].turn``, empty for the document, and what is wrong, with which value."""
        super().__init__(f"{path}: {problem}" if path else problem)


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object. Each of its readers raises `InvalidDataError` when the member is missing or is something else.

    Attributes:
        values: Its members.
        path: Where it is in the document; empty for the document itself.
    """

    values: Mapping[str, object]
    path: str = ""

    def text(self, name: str) -> str:
        """Return a string that is not only spaces."""
        value = self._member(name)
        if not isinstance(value, str) or not value.strip():
            raise self._invalid(name, value, "text that is not only spaces")
        return value

    def optional_text(self, name: str) -> str:
        """Return a string that may be empty."""
        value = self._member(name)
        if not isinstance(value, str):
            raise self._invalid(name, value, "text")
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """Return a string out of a few."""
        value = self._member(name)
        if not isinstance(value, str) or value not in allowed:
            raise self._invalid(name, value, " or ".join(allowed))
        return value

    def integer(self, name: str) -> int:
        """Return a whole number; `true` is none."""
        value = self._member(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._invalid(name, value, "a whole number")
        return value

    def number(self, name: str) -> float:
        """Return a finite number; `true` is none."""
        value = self._member(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self._invalid(name, value, "a number")
        return float(value)

    def objects(self, name: str) -> tuple["Fields", ...]:
        """Return the objects of a list, in order."""
        value = self._member(name)
        if not isinstance(value, list):
            raise self._invalid(name, value, "a list")
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                place = f"{name}[{index}]"
                raise self._invalid(place, item, "an object")
        return tuple(Fields(item, f"{self._path(name)}[{index}]") for index, item in enumerate(value))

    def _member(self, name: str) -> object:
        if name not in self.values:
            raise InvalidDataError(path=self._path(name), problem="is missing")
        return self.values[name]

    def _invalid(self, name: str, value: object, needed: str) -> InvalidDataError:
        return InvalidDataError(path=self._path(name), problem=f"is {_shown(value)}; it must be {needed}")

    def _path(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def parse_json(text: str) -> object:
    """Parse a JSON document; InvalidDataError when it is none, or when an object in it has a key twice."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        raise InvalidDataError(path="", problem=problem) from error


def parse_object(text: str) -> Fields:
    """Parse a JSON document that is one object; InvalidDataError for any other."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise InvalidDataError(path="", problem=f"is {_shown(value)}; it must be an object")
    return Fields(value)


def _unique(members: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(members)
    if len(values) != len(members):
        names = [name for name, _ in members]
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise InvalidDataError(path="", problem=f"the key {twice!r} occurs twice in one object")
    return values


_SHOWN_CHARACTERS = 40


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
