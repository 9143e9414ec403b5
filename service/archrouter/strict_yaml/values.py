"""YAML nodes as values that know their place, and the reading of scalars without guessing.

YAML 1.1, which PyYAML speaks, reads some plain words in ways their author rarely means: ``no`` is a boolean, ``010``
is eight, ``12:30`` is 750, ``1e3`` is text. Nothing is converted silently here; such a value is an error that says how
to write what was meant.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from archrouter.domain.findings import quoted

_MAX_EXACT_INTEGER = 2**53
"""Numbers reach the caller as doubles (`google.protobuf.Struct`), which skip integers beyond it."""

_PREFIX = "tag:yaml.org,2002:"
_TEXT = f"{_PREFIX}str"
_NULL = f"{_PREFIX}null"
_BOOLEAN = f"{_PREFIX}bool"
_INTEGER = f"{_PREFIX}int"
_FLOAT = f"{_PREFIX}float"
_MERGE = f"{_PREFIX}merge"

_KINDS = {
    _TEXT: "text",
    _NULL: "null",
    _BOOLEAN: "a boolean",
    _INTEGER: "a number",
    _FLOAT: "a number",
    _MERGE: "the merge key",
    f"{_PREFIX}timestamp": "a date",
    f"{_PREFIX}value": "the default key",
    f"{_PREFIX}map": "a mapping",
    f"{_PREFIX}seq": "a list",
}
"""Every tag PyYAML's safe resolver can give to a node without an explicit one."""

_BOOLEANS = re.compile("true|True|TRUE|false|False|FALSE")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*|([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?)")
_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")
_SIMPLE_KEY = re.compile(r"[\w-]+")
_MAX_LISTED_NAMES = 12
_MAX_SUGGESTIBLE_CHARACTERS = 64


class UnreadableError(ValueError):
    """A value cannot be what it should; the text says what it is, and the remedy."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands.

    Attributes:
        path: E.g. ``domains[0].actions[1].description``; empty for the whole document. A key that is no plain word
            stands in brackets, as in ``models["a.b"]``.
        node: The YAML node.
        key: The node of its key; None for an item of a list and for the document.
    """

    path: str
    node: yaml.Node
    key: yaml.Node | None = None

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
        return bool(self.node.value) or self.node.tag != _NULL

    @property
    def is_word(self) -> bool:
        """Whether a single value is written there."""
        return isinstance(self.node, yaml.ScalarNode) and self.has_value

    @property
    def description(self) -> str:
        """Predicate for a message: the value, where it is a single word or text, and its kind."""
        if not self.has_value:
            return "has no value"
        kind = _KINDS[self.node.tag]
        return f"{quoted(self.node.value)} is {kind}" if self.is_word else f"is {kind}"

    def of_key(self) -> "Place":
        """Return the place of the key instead of that of its value."""
        return Place(self.path, self.key or self.node)

    def child(self, key: str, node: yaml.Node, key_node: yaml.Node | None = None) -> "Place":
        """Return the place of a node under a key of this mapping."""
        if not _SIMPLE_KEY.fullmatch(key):
            return Place(f"{self.path}[{json.dumps(key, ensure_ascii=False)}]", node, key_node)
        return Place(f"{self.path}.{key}" if self.path else key, node, key_node)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value."""

    place: Place

    @property
    def word(self) -> str:
        """What is written there, without quotes."""
        return str(self.place.node.value)

    @property
    def tag(self) -> str:
        """How YAML 1.1 reads it."""
        return self.place.node.tag


class YamlMap(dict[str, "Value"]):
    """A mapping, without unusable and repeated keys.

    Attributes:
        place: Where it stands.
        table: What it was read as.
    """

    def __init__(self, place: Place) -> None:
        """Start empty."""
        super().__init__()
        self.place = place
        self.table: object = None


class YamlList(list["Value"]):
    """A list."""

    def __init__(self, place: Place, items: Iterable["Value"]) -> None:
        """Take the items."""
        super().__init__(items)
        self.place = place


Value: TypeAlias = Scalar | YamlMap | YamlList

JsonValue: TypeAlias = "bool | float | str | list[JsonValue] | dict[str, JsonValue] | None"

Report: TypeAlias = Callable[[Place, str], None]
"""Takes what is wrong at a place, and the remedy."""


def value_at(place: Place, report: Report) -> Value:
    """Read a node and everything below it, and report keys that are unusable or repeated; converts no scalar."""
    node = place.node
    if isinstance(node, yaml.SequenceNode):
        items = (Place(f"{place.path}[{index}]", item) for index, item in enumerate(node.value))
        return YamlList(place, [value_at(item, report) for item in items])
    if not isinstance(node, yaml.MappingNode):
        return Scalar(place)
    mapping = YamlMap(place)
    for key_node, value_node in node.value:
        if key_node.tag != _TEXT:
            key_place = Place(place.path, key_node)
            report(key_place, f"the key {key_place.description}; {_key_remedy(key_place)}")
            continue
        child = place.child(key_node.value, value_node, key_node)
        if key_node.value in mapping:
            line = mapping[key_node.value].place.of_key().line
            report(child.of_key(), f"the key {quoted(key_node.value)} is already in line {line}; remove one of them")
        else:
            mapping[key_node.value] = value_at(child, report)
    return mapping


def as_text(value: Value) -> str:
    """Return a text as it stands, possibly empty; anything else raises UnreadableError."""
    if isinstance(value, Scalar) and value.tag == _TEXT:
        return value.word
    remedy = "quote it if it is meant as text" if value.place.is_word else "write text"
    msg = f"{value.place.description}; {remedy}"
    raise UnreadableError(msg)


def as_number(value: Value) -> float:
    """Return a finite number in decimal notation; anything else, also what a double cannot hold, raises."""
    if not isinstance(value, Scalar) or value.tag not in {_INTEGER, _FLOAT}:
        example = "1.0e-3" if isinstance(value, Scalar) and _is_number_elsewhere(value) else "0.5"
        msg = f"{value.place.description}; write a number such as {example}"
        raise UnreadableError(msg)
    number = float(value.word) if _DECIMAL.fullmatch(value.word) else math.nan
    if not math.isfinite(number):
        msg = f"{quoted(value.word)} is no finite decimal number; write one, or quote it as text"
        raise UnreadableError(msg)
    if value.tag == _INTEGER and abs(int(value.word)) > _MAX_EXACT_INTEGER:
        msg = f"{quoted(value.word)} is beyond 2^53 and would reach the caller rounded; quote it as text"
        raise UnreadableError(msg)
    return number


def as_json(value: Value, report: Report) -> JsonValue:
    """Convert what means the same in YAML 1.1, YAML 1.2 and JSON, and report the rest."""
    if isinstance(value, YamlMap):
        return {key: as_json(item, report) for key, item in value.items()}
    if isinstance(value, YamlList):
        return [as_json(item, report) for item in value]
    try:
        return _json_scalar(value)
    except UnreadableError as error:
        report(value.place, str(error))
        return None


def _is_number_elsewhere(value: Scalar) -> bool:
    """Recognise a word without quotes that is text for YAML 1.1 but a number for YAML 1.2 and JSON, such as ``1e3``."""
    node = value.place.node
    is_plain = isinstance(node, yaml.ScalarNode) and node.tag == _TEXT and not node.style
    return is_plain and _EXPONENT.fullmatch(value.word) is not None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Guess which known name a misspelled one means; empty when none is close."""
    if len(name) > _MAX_SUGGESTIBLE_CHARACTERS:
        return ""
    return next(iter(difflib.get_close_matches(name, known, n=1)), "")


def listed(names: Sequence[str]) -> str:
    """Join names for a message: the first `_MAX_LISTED_NAMES` of them, quoted, and how many more there are."""
    more = f" and {len(names) - _MAX_LISTED_NAMES} more" if len(names) > _MAX_LISTED_NAMES else ""
    return ", ".join(quoted(name) for name in names[:_MAX_LISTED_NAMES]) + more


def _json_scalar(value: Scalar) -> bool | float | str | None:
    message = ""
    if value.tag in {_INTEGER, _FLOAT}:
        number = as_number(value)
        return int(number) if number.is_integer() and abs(number) <= _MAX_EXACT_INTEGER else number
    if value.tag == _TEXT and _is_number_elsewhere(value):
        remedy = "write a point and a signed exponent, as in 1.0e-3, or quote it as text"
        message = f"{quoted(value.word)} is text in YAML 1.1 and a number in YAML 1.2; {remedy}"
    elif value.tag == _BOOLEAN and not _BOOLEANS.fullmatch(value.word):
        remedy = "write true or false, or quote it as text"
        message = f"{quoted(value.word)} is a boolean in YAML 1.1 and text in YAML 1.2; {remedy}"
    elif not value.place.has_value:
        message = "has no value; write null if that is meant, or remove the key"
    elif value.tag not in {_TEXT, _BOOLEAN, _NULL}:
        message = f"{value.place.description}, which JSON does not have; quote it to pass it on as text"
    if message:
        raise UnreadableError(message)
    if value.tag == _TEXT:
        return value.word
    return value.word.lower() == "true" if value.tag == _BOOLEAN else None


def _key_remedy(key: Place) -> str:
    if key.node.tag == _MERGE:
        return "write the merged keys out"
    return "quote it" if key.is_word else "write a name"
