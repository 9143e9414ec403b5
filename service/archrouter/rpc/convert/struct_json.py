"""`google.protobuf.Struct` to canonical JSON and back: the domain keeps model parameters as text."""

import json
from collections.abc import Mapping

from google.protobuf.struct_pb2 import Struct, Value

MAX_EXACT_INTEGER = 2**53
"""Above it a double no longer tells neighbouring integers apart."""

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


def struct_to_json(struct: Struct) -> str:
    """Write a struct as canonical JSON.

    A Struct knows doubles only. Whole numbers up to `MAX_EXACT_INTEGER` are written without a fraction, so that
    ``temperature: 0`` of a policy file and the same number sent inline are the same text, hence the same revision.

    Args:
        struct: Any struct.

    Returns:
        A JSON object with sorted keys and no spaces.

    Raises:
        ValueError: When a number is not finite, which JSON cannot say.
    """
    return json.dumps(
        _from_fields(struct.fields), ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False
    )


def json_to_struct(text: str) -> Struct:
    """Read canonical JSON as a struct.

    Args:
        text: A JSON object.

    Returns:
        The struct; integers above `MAX_EXACT_INTEGER` lose precision, because a Struct knows doubles only.
    """
    struct = Struct()
    struct.update(json.loads(text))
    return struct


def _from_fields(fields: Mapping[str, Value]) -> dict[str, JsonValue]:
    return {key: _from_value(value) for key, value in fields.items()}


def _from_value(value: Value) -> JsonValue:
    match value.WhichOneof("kind"):
        case "bool_value":
            return value.bool_value
        case "string_value":
            return value.string_value
        case "number_value":
            return _from_number(value.number_value)
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case "struct_value":
            return _from_fields(value.struct_value.fields)
        case _:  # null_value, or nothing set, which JSON calls null as well
            return None


def _from_number(number: float) -> int | float:
    return int(number) if number.is_integer() and abs(number) <= MAX_EXACT_INTEGER else number
