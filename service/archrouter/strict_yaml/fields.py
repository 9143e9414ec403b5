"""Fields of a YAML document: nodes under the names their author would give them, and what to call their values."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from archrouter.domain.findings import quoted

_PREFIX = "tag:yaml.org,2002:"
TEXT_TAG = f"{_PREFIX}str"
NULL_TAG = f"{_PREFIX}null"
BOOLEAN_TAG = f"{_PREFIX}bool"
INTEGER_TAG = f"{_PREFIX}int"
FLOAT_TAG = f"{_PREFIX}float"
MERGE_TAG = f"{_PREFIX}merge"

_KINDS = {
    TEXT_TAG: "text",
    NULL_TAG: "null",
    BOOLEAN_TAG: "a boolean",
    INTEGER_TAG: "a number",
    FLOAT_TAG: "a number",
    MERGE_TAG: "the merge key",
    f"{_PREFIX}timestamp": "a date",
    f"{_PREFIX}value": "the default key",
    f"{_PREFIX}map": "a mapping",
    f"{_PREFIX}seq": "a list",
}
"""Every tag PyYAML's safe resolver can give to a node without an explicit one."""

_SIMPLE_KEY = re.compile(r"[\w-]+")
_MAX_LISTED_NAMES = 12
_MAX_SUGGESTIBLE_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Field:
    """A node of a document and its path.

    Attributes:
        path: E.g. ``domains[0].actions[1].description``; empty for the whole document.
        node: The YAML node.
    """

    path: str
    node: yaml.Node

    @property
    def line(self) -> int:
        """1-based line where the node begins."""
        return int(self.node.start_mark.line) + 1

    @property
    def column(self) -> int:
        """1-based column, in characters, where the node begins."""
        return int(self.node.start_mark.column) + 1

    @property
    def has_value(self) -> bool:
        """Whether anything is written there: False for the nothing after ``key:``."""
        return bool(self.node.value) or self.node.tag != NULL_TAG

    @property
    def description(self) -> str:
        """Predicate for a message: the value, where it is a single word or text, and its kind."""
        kind = _KINDS[self.node.tag]
        if not self.has_value:
            return "has no value"
        return f"{quoted(self.node.value)} is {kind}" if isinstance(self.node, yaml.ScalarNode) else f"is {kind}"

    def child(self, key: str, node: yaml.Node) -> "Field":
        """Name a node under a key of this mapping.

        Args:
            key: The key.
            node: Its value, or the key's own node.

        Returns:
            The field ``<path>.<key>``; a key that is no plain word stands in brackets, as in ``models["a.b"]``.
        """
        if not _SIMPLE_KEY.fullmatch(key):
            return Field(f"{self.path}[{json.dumps(key, ensure_ascii=False)}]", node)
        return Field(f"{self.path}.{key}" if self.path else key, node)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a mapping and its value: one path, two positions."""

    key: Field
    value: Field


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping whose keys are known beforehand.

    Attributes:
        field: The mapping.
        entries: Its known keys.
        misspelled: Known keys that an unknown one seems to mean; they do not count as missing.
        is_known: Whether every key is a known one.
    """

    field: Field
    entries: Mapping[str, Entry]
    misspelled: frozenset[str]
    is_known: bool

    def get(self, key: str) -> Field | None:
        """Look up a value.

        Args:
            key: A known key.

        Returns:
            Its value; None when the key is absent.
        """
        entry = self.entries.get(key)
        return entry.value if entry else None

    def mentions(self, keys: Iterable[str]) -> bool:
        """Say whether the author meant to write one of several keys.

        Args:
            keys: Known keys.

        Returns:
            True when one of them is there, be it misspelled.
        """
        return any(key in self.entries or key in self.misspelled for key in keys)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Guess which known name a misspelled one means.

    Args:
        name: What the author wrote.
        known: The names there are.

    Returns:
        The closest one; empty when none is close.
    """
    if len(name) > _MAX_SUGGESTIBLE_CHARACTERS:
        return ""
    return next(iter(difflib.get_close_matches(name, known, n=1)), "")


def listed(names: Sequence[str]) -> str:
    """Join names for a message.

    Args:
        names: The names, at least one.

    Returns:
        The first `_MAX_LISTED_NAMES` of them, quoted, and how many more there are.
    """
    more = f" and {len(names) - _MAX_LISTED_NAMES} more" if len(names) > _MAX_LISTED_NAMES else ""
    return ", ".join(quoted(name) for name in names[:_MAX_LISTED_NAMES]) + more
