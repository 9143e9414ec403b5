"""The `models` of a policy file: declarations, whose parameters must mean the same as JSON, and who names them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from archrouter.domain.findings import Severity, quoted
from archrouter.domain.policy import ModelTarget
from archrouter.strict_yaml.document import DocumentReader
from archrouter.strict_yaml.fields import (
    BOOLEAN_TAG,
    FLOAT_TAG,
    INTEGER_TAG,
    NULL_TAG,
    TEXT_TAG,
    Field,
    Table,
    listed,
    suggestion,
)
from archrouter.strict_yaml.reader import MAX_EXACT_INTEGER, FieldReader, is_number_elsewhere

_KEYS = ("model", "parameters")


@dataclass(frozen=True, slots=True)
class _Declaration:
    """A declared model: its logical name's key, the target, and where the target's name stands; None if unreadable."""

    key: Field
    target: ModelTarget
    model: Field | None


class ModelCatalogue:
    """The declared models of a file, by logical name, and which of them are in use."""

    def __init__(self, reader: DocumentReader, table: Table) -> None:
        """Read the declarations.

        Args:
            reader: Takes findings and places.
            table: The top of the file.
        """
        self._reader = reader
        self._used: set[str] = set()
        remedy = "declare every model a route may name, as in coder: {model: provider/model}"
        field = reader.fields.required(table, "models", remedy)
        entries = reader.fields.mapping(field) if field else None
        self._declarations: Mapping[str, _Declaration] | None = None
        if entries is not None:
            self._declarations = {name: _declaration(reader.fields, e.key, e.value) for name, e in entries.items()}

    def targets(self, table: Table, key: str, domain_path: str, remedy: str) -> tuple[ModelTarget, ...]:
        """Read a list of logical names.

        Args:
            table: The mapping that holds the list.
            key: Its key there.
            domain_path: Field of the domain object that takes the models.
            remedy: What to write when the list is missing, for the message.

        Returns:
            The declared targets, in the order of the list.
        """
        field = self._reader.fields.required(table, key, remedy)
        items = self._reader.fields.items(field) if field else None
        declarations = [self._named(item) for item in items or ()]
        known = [declaration for declaration in declarations if declaration is not None]
        self._reader.places.put(domain_path, field if items is not None and len(known) == len(items) else None)
        for index, declaration in enumerate(known):
            self._reader.places.put(f"{domain_path}[{index}].model", declaration.model)
        if len(known) != len({declaration.key.path for declaration in known}) and field:
            self._reader.fields.report(field, "names a model twice; keep its best place")
        return tuple(declaration.target for declaration in known)

    def report_unused(self) -> None:
        """Warn of every declared model that no list names."""
        for name, declaration in (self._declarations or {}).items():
            if name not in self._used:
                message = f"no route and no fallback uses {quoted(name)}; use it or remove it"
                self._reader.fields.report(declaration.key, message, Severity.WARNING)

    def _named(self, item: Field) -> _Declaration | None:
        name = self._reader.fields.text(item)
        if name is None or self._declarations is None:
            return None
        self._used.add(name)
        if name not in self._declarations:
            guess = suggestion(name, self._declarations)
            names = tuple(self._declarations)
            declared = f"declared are {listed(names)}" if names else "nothing is declared"
            question = f"; did you mean {quoted(guess)}?" if guess else ""
            self._reader.fields.report(item, f"{quoted(name)} is not declared under 'models'; {declared}{question}")
        return self._declarations.get(name)


def _declaration(fields: FieldReader, key: Field, value: Field) -> _Declaration:
    table = fields.table(value, _KEYS)
    if table is None:
        return _Declaration(key, ModelTarget(""), None)
    field = fields.required(table, "model", "name the model the caller should use, as in provider/model")
    name = fields.text(field) if field else None
    parameters = table.get("parameters")
    target = ModelTarget(name or "", _canonical_parameters(fields, parameters) if parameters else "{}")
    return _Declaration(key, target, None if name is None else field)


JsonValue: TypeAlias = "bool | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_TRUE, _FALSE = re.compile("true|True|TRUE"), re.compile("false|False|FALSE")


def _canonical_parameters(fields: FieldReader, field: Field) -> str:
    """Read parameters into canonical JSON.

    Keys are sorted, no space is written, and a number without a fraction is written as an integer, since the caller
    receives every number as a double: equal parameters give equal text.

    Args:
        fields: Takes the findings.
        field: The value of `parameters`.

    Returns:
        A JSON object; of no use when something was reported.
    """
    entries = fields.mapping(field)
    if entries is None:
        return "{}"
    parameters = {key: _json_value(fields, entry.value) for key, entry in entries.items()}
    return json.dumps(parameters, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def _json_value(fields: FieldReader, field: Field) -> JsonValue:
    node = field.node
    if isinstance(node, yaml.MappingNode):
        return {key: _json_value(fields, entry.value) for key, entry in (fields.mapping(field) or {}).items()}
    if isinstance(node, yaml.SequenceNode):
        return [_json_value(fields, item) for item in fields.items(field) or ()]
    return _scalar(fields, field)


def _scalar(fields: FieldReader, field: Field) -> bool | float | str | None:
    tag = field.node.tag
    if tag == TEXT_TAG:
        return _text(fields, field)
    if tag in {INTEGER_TAG, FLOAT_TAG}:
        return _number(fields, field)
    if tag == BOOLEAN_TAG:
        return _boolean(fields, field)
    if not field.has_value:
        fields.report(field, "has no value; write null if that is meant, or remove the key")
    elif tag != NULL_TAG:
        fields.report(field, f"{field.description}, which JSON does not have; quote it to pass it on as text")
    return None


def _number(fields: FieldReader, field: Field) -> float | None:
    number = fields.number(field)
    if number is None or not number.is_integer() or abs(number) > MAX_EXACT_INTEGER:
        return number
    return int(number)


def _text(fields: FieldReader, field: Field) -> str:
    text = str(field.node.value)
    if is_number_elsewhere(field):
        remedy = "write a point and a signed exponent, as in 1.0e-3, or quote it as text"
        fields.report(field, f"{quoted(text)} is text in YAML 1.1 and a number in YAML 1.2; {remedy}")
    return text


def _boolean(fields: FieldReader, field: Field) -> bool:
    word = str(field.node.value)
    if not (_TRUE.fullmatch(word) or _FALSE.fullmatch(word)):
        remedy = "write true or false, or quote it as text"
        fields.report(field, f"{quoted(word)} is a boolean in YAML 1.1 and text in YAML 1.2; {remedy}")
    return _TRUE.fullmatch(word) is not None
