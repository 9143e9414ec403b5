"""A foreign configuration as plain values: YAML without tags, aliases and anchors, or JSON, within the usual limits."""

import json
from contextlib import suppress
from pathlib import Path
from typing import cast

from archrouter.domain.findings import Finding, Severity
from archrouter.strict_json import InvalidDataError, parse_json
from archrouter.strict_yaml.nodes import MAX_DEPTH, MAX_NODE_COUNT, compose_document, read_text
from archrouter.strict_yaml.values import Place, Scalar, UnreadableError, Value, YamlMap, as_number, value_at
from archrouter.workbench.foreign.facts import Facts, ForeignError, Plain

_TAG = "tag:yaml.org,2002:"
_TRUE = frozenset({"yes", "true", "on"})


def read_foreign(path: Path) -> Facts:
    """Read a file.

    Args:
        path: JSON if its text begins with ``{`` or ``[``, YAML otherwise; untrusted. Nothing that it names is loaded.

    Returns:
        The top mapping. A list at the top of a JSON file stands under ``routes``, as semantic-router's own readers
        take it.

    Raises:
        ForeignError: It is unreadable, too large, too deep, or no mapping.
    """
    text = read_text(path)
    if isinstance(text, Finding):
        raise _unreadable(text)
    values = _from_json(text) if text.lstrip()[:1] in ("{", "[") else _from_yaml(text)
    if isinstance(values, list):
        values = {"routes": values}
    return Facts(cast("dict[str, Plain]", values), "", [])


def _from_json(text: str) -> Plain:
    try:
        value = cast("Plain", parse_json(text))
        json.dumps(value, ensure_ascii=False).encode()
    except InvalidDataError as error:
        raise ForeignError(str(error)) from error
    except RecursionError as error:
        msg = f"more than {MAX_DEPTH} levels of objects and lists; flatten the document"
        raise ForeignError(msg) from error
    except ValueError as error:
        msg = "is not JSON: a number or half of a surrogate pair is out of range; correct it"
        raise ForeignError(msg) from error
    _check_size(value)
    return value


def _check_size(value: Plain) -> None:
    level, count, depth = [value], 0, 0
    while level:
        count, depth = count + len(level), depth + 1
        if depth > MAX_DEPTH or count > MAX_NODE_COUNT:
            msg = f"more than {MAX_DEPTH} levels or {MAX_NODE_COUNT} values; flatten or split the document"
            raise ForeignError(msg)
        below: list[Plain] = []
        for item in level:
            below.extend(item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
        level = below


def _from_yaml(text: str) -> Plain:
    root = compose_document(text, "a key of the configuration")
    if isinstance(root, Finding):
        raise _unreadable(root)
    problems: list[Finding] = []
    value = value_at(Place("", root), lambda place, message: problems.append(_at(place, message)))
    if problems:
        raise _unreadable(problems[0])
    return _plain(value)


def _at(place: Place, message: str) -> Finding:
    return Finding(Severity.ERROR, place.path, message, place.line, place.column)


def _plain(value: Value) -> Plain:
    """Convert what most readers of YAML agree on; what only some take for a date or a number stays text."""
    if isinstance(value, YamlMap):
        return {key: _plain(item) for key, item in value.items()}
    if not isinstance(value, Scalar):
        return [_plain(item) for item in value]
    if value.tag == f"{_TAG}null":
        return None
    if value.tag == f"{_TAG}bool":
        return value.word.lower() in _TRUE
    with suppress(UnreadableError):
        return as_number(value)
    return value.word


def _unreadable(finding: Finding) -> ForeignError:
    place = f"line {finding.line}, column {finding.column}: " if finding.line else ""
    subject = f"{finding.field_path}: " if finding.field_path else ""
    return ForeignError(f"{place}{subject}{finding.message}")
