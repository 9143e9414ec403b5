"""The `parameters` of a model: YAML that must mean the same as JSON, because the caller gets it as JSON."""

import json
import re
from typing import TypeAlias

import yaml

from archrouter.adapters.yaml_fields import BOOLEAN_TAG, FLOAT_TAG, INTEGER_TAG, NULL_TAG, TEXT_TAG, Field
from archrouter.adapters.yaml_reader import MAX_EXACT_INTEGER, FieldReader, is_number_elsewhere
from archrouter.domain.findings import quoted

JsonValue: TypeAlias = "bool | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_TRUE, _FALSE = re.compile("true|True|TRUE"), re.compile("false|False|FALSE")


def canonical_parameters(fields: FieldReader, field: Field) -> str:
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
