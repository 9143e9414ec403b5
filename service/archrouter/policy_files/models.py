"""The `models` of a policy file: declarations, whose parameters must mean the same as JSON, and who names them."""

import json
from typing import Annotated, cast

from pydantic import Field, PlainValidator, ValidationInfo

from archrouter.domain.findings import Severity, quoted
from archrouter.domain.policy import ModelTarget
from archrouter.strict_yaml.document import Reading, Table, Text
from archrouter.strict_yaml.values import (
    Place,
    Scalar,
    UnreadableError,
    Value,
    YamlMap,
    as_json,
    as_text,
    listed,
    suggestion,
)


def _canonical_json(value: Value, info: ValidationInfo) -> str:
    """Read parameters into canonical JSON.

    Keys are sorted, no space is written, and a number without a fraction is written as an integer, since the caller
    receives every number as a double: equal parameters give equal text.
    """
    if not isinstance(value, YamlMap):
        msg = f"{value.place.description}; write a mapping"
        raise UnreadableError(msg)
    parameters = as_json(value, cast("Reading", info.context).report)
    return json.dumps(parameters, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def _as_name(value: Value) -> Scalar:
    as_text(value)
    return cast("Scalar", value)


Names = tuple[Annotated[Scalar, PlainValidator(_as_name)], ...]
"""Texts such as logical names of models; each knows its place."""


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
        """Look up the models of a list that stands at `place`, for a field of the domain object."""
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
            declared = (
                f"declared are {listed(tuple(self._declarations))}" if self._declarations else "nothing is declared"
            )
            question = f"; did you mean {quoted(guess)}?" if guess else ""
            message = f"{quoted(name.word)} is not declared under 'models'; {declared}{question}"
            self._reading.report(name.place, message)
        return self._declarations.get(name.word)
