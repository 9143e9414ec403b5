"""Typed access to JSON of unknown quality, with the path of what is wrong."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class InvalidDataError(Exception):
    """A JSON document is not what it should be."""

    def __init__(self, *, path: str, problem: str) -> None:
        """Say where and what.

        Args:
            path: Path of the field, e.g. ``labels[0].turn``; empty for the document.
            problem: What is wrong, with which value.
        """
        super().__init__(f"{path}: {problem}" if path else problem)


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object.

    Attributes:
        values: Its members.
        path: Where it is in the document; empty for the document itself.
    """

    values: Mapping[str, object]
    path: str = ""

    def text(self, name: str) -> str:
        """Return a string that is not only spaces.

        Args:
            name: The member.

        Returns:
            The string.

        Raises:
            InvalidDataError: When it is missing, something else, or blank.
        """
        value = self._member(name)
        if not isinstance(value, str) or not value.strip():
            raise InvalidDataError(
                path=self._path(name), problem=f"is {_shown(value)}; it must be text that is not only spaces"
            )
        return value

    def optional_text(self, name: str) -> str:
        """Return a string that may be empty.

        Args:
            name: The member.

        Returns:
            The string.

        Raises:
            InvalidDataError: When it is missing or something else.
        """
        value = self._member(name)
        if not isinstance(value, str):
            raise InvalidDataError(path=self._path(name), problem=f"is {_shown(value)}; it must be text")
        return value

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """Return a string out of a few.

        Args:
            name: The member.
            allowed: The strings it may be.

        Returns:
            One of them.

        Raises:
            InvalidDataError: When it is missing or none of them.
        """
        value = self._member(name)
        if not isinstance(value, str) or value not in allowed:
            raise InvalidDataError(
                path=self._path(name), problem=f"is {_shown(value)}; it must be {' or '.join(allowed)}"
            )
        return value

    def integer(self, name: str) -> int:
        """Return a whole number.

        Args:
            name: The member.

        Returns:
            The number.

        Raises:
            InvalidDataError: When it is missing or something else; `true` is no number.
        """
        value = self._member(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidDataError(path=self._path(name), problem=f"is {_shown(value)}; it must be a whole number")
        return value

    def number(self, name: str) -> float:
        """Return a number.

        Args:
            name: The member.

        Returns:
            The number, finite.

        Raises:
            InvalidDataError: When it is missing, something else, or no finite number; `true` is no number.
        """
        value = self._member(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise InvalidDataError(path=self._path(name), problem=f"is {_shown(value)}; it must be a number")
        return float(value)

    def objects(self, name: str) -> tuple["Fields", ...]:
        """Return a list of objects.

        Args:
            name: The member.

        Returns:
            The objects in order.

        Raises:
            InvalidDataError: When it is missing, no list, or an item is no object.
        """
        value = self._member(name)
        if not isinstance(value, list):
            raise InvalidDataError(path=self._path(name), problem=f"is {_shown(value)}; it must be a list")
        items = []
        for index, item in enumerate(value):
            path = f"{self._path(name)}[{index}]"
            if not isinstance(item, dict):
                raise InvalidDataError(path=path, problem=f"is {_shown(item)}; it must be an object")
            items.append(Fields(item, path))
        return tuple(items)

    def _member(self, name: str) -> object:
        if name not in self.values:
            raise InvalidDataError(path=self._path(name), problem="is missing")
        return self.values[name]

    def _path(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def parse_json(text: str) -> object:
    """Parse a JSON document.

    Args:
        text: The document.

    Returns:
        Its value.

    Raises:
        InvalidDataError: When the text is no JSON, or an object in it has a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        raise InvalidDataError(path="", problem=problem) from error


def parse_object(text: str) -> Fields:
    """Parse a JSON document that is one object.

    Args:
        text: The document.

    Returns:
        The object.

    Raises:
        InvalidDataError: When the text is no JSON, no object, or an object in it has a key twice.
    """
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
