"""The `models` of a policy file: declarations, whose parameters must mean the same as JSON, and who names them."""

import json
import re
from collections.abc import Sequence
from typing import Annotated, TypeAlias, cast

from pydantic import Field, PlainValidator, ValidationInfo

from archrouter.domain.findings import Severity, quoted
from archrouter.domain.policy import ModelTarget
from archrouter.strict_yaml.document import Reading, Table, Text
from archrouter.strict_yaml.values import (
    BOOLEAN_TAG,
    FLOAT_TAG,
    INTEGER_TAG,
    MAX_EXACT_INTEGER,
    NULL_TAG,
    TEXT_TAG,
    Place,
    Scalar,
    UnreadableError,
    Value,
    YamlList,
    YamlMap,
    as_number,
    as_text,
    is_number_elsewhere,
    listed,
    suggestion,
)

JsonValue: TypeAlias = "bool | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_BOOLEANS = re.compile("true|True|TRUE|false|False|FALSE")


def _canonical_json(value: Value, info: ValidationInfo) -> str:
    """Read parameters into canonical JSON.

    Keys are sorted, no space is written, and a number without a fraction is written as an integer, since the caller
    receives every number as a double: equal parameters give equal text.
    """
    if not isinstance(value, YamlMap):
        msg = f"{value.place.description}; write a mapping"
        raise UnreadableError(msg)
    parameters = _json_value(value, cast("Reading", info.context))
    return json.dumps(parameters, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def _json_value(value: Value, reading: Reading) -> JsonValue:
    if isinstance(value, YamlMap):
        return {key: _json_value(item, reading) for key, item in value.items()}
    if isinstance(value, YamlList):
        return [_json_value(item, reading) for item in value]
    try:
        return _json_scalar(value)
    except UnreadableError as error:
        reading.report(value.place, str(error))
        return None


def _json_scalar(value: Scalar) -> bool | float | str | None:
    message = ""
    if value.tag in {INTEGER_TAG, FLOAT_TAG}:
        number = as_number(value)
        return int(number) if number.is_integer() and abs(number) <= MAX_EXACT_INTEGER else number
    if value.tag == TEXT_TAG and is_number_elsewhere(value):
        remedy = "write a point and a signed exponent, as in 1.0e-3, or quote it as text"
        message = f"{quoted(value.word)} is text in YAML 1.1 and a number in YAML 1.2; {remedy}"
    elif value.tag == BOOLEAN_TAG and not _BOOLEANS.fullmatch(value.word):
        remedy = "write true or false, or quote it as text"
        message = f"{quoted(value.word)} is a boolean in YAML 1.1 and text in YAML 1.2; {remedy}"
    elif not value.place.has_value:
        message = "has no value; write null if that is meant, or remove the key"
    elif value.tag not in {TEXT_TAG, BOOLEAN_TAG, NULL_TAG}:
        message = f"{value.place.description}, which JSON does not have; quote it to pass it on as text"
    if message:
        raise UnreadableError(message)
    if value.tag == TEXT_TAG:
        return value.word
    return value.word.lower() == "true" if value.tag == BOOLEAN_TAG else None


def _as_name(value: Value) -> Scalar:
    as_text(value)
    return cast("Scalar", value)


Names = tuple[Annotated[Scalar, PlainValidator(_as_name)], ...]
"""Logical names of models; each knows its place."""


class Declaration(Table):
    """A declared model."""

    model: Annotated[Text, Field(description="name the model the caller should use, as in provider/model")] = ""
    parameters: Annotated[str, PlainValidator(_canonical_json)] = "{}"


class ModelCatalogue:
    """The declared models of a file, by logical name, and which of them are in use."""

    def __init__(self, declarations: dict[str, Declaration] | None, reading: Reading) -> None:
        """Take the declarations; None when they could not be read, so that no name can be looked up."""
        self._declarations = declarations
        self._reading = reading
        self._used: set[str] = set()

    def targets(self, names: Names, place: Place | None, domain_path: str) -> tuple[ModelTarget, ...]:
        """Look up a list of logical names.

        Args:
            names: The names.
            place: Where the list stands; None when it was left out or could not be read.
            domain_path: Field of the domain object that takes the models.

        Returns:
            The declared targets, in the order of the list.
        """
        declarations = [declaration for name in names if (declaration := self._declaration(name))]
        self._reading.put(domain_path, place if len(declarations) == len(names) else None)
        for index, declaration in enumerate(declarations):
            self._reading.put(f"{domain_path}[{index}].model", declaration.at("model"))
        if place and len(declarations) != len({declaration.place.path for declaration in declarations}):
            self._reading.report(place, "names a model twice; keep its best place")
        return tuple(ModelTarget(declaration.model, declaration.parameters) for declaration in declarations)

    def report_unused(self) -> None:
        """Warn of every declared model that no list names."""
        for name, declaration in (self._declarations or {}).items():
            if name not in self._used:
                message = f"no route and no fallback uses {quoted(name)}; use it or remove it"
                self._reading.report(declaration.place.of_key(), message, Severity.WARNING)

    def _declaration(self, name: Scalar) -> Declaration | None:
        if self._declarations is None:
            return None
        self._used.add(name.word)
        if name.word not in self._declarations:
            guess = suggestion(name.word, self._declarations)
            names: Sequence[str] = tuple(self._declarations)
            declared = f"declared are {listed(names)}" if names else "nothing is declared"
            question = f"; did you mean {quoted(guess)}?" if guess else ""
            message = f"{quoted(name.word)} is not declared under 'models'; {declared}{question}"
            self._reading.report(name.place, message)
        return self._declarations.get(name.word)
