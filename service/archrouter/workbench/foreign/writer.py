"""Policy sets and suites as YAML: what `policy_files` reads, and reads back as the same set."""

import json
import re
from collections.abc import Iterable

import yaml

from archrouter.domain.policy import NO_MATCH_ID, ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.suite import Suite

_WIDTH = 120
_TAG = "tag:yaml.org,2002:"
_NAME = re.compile(r"[^a-z0-9]+")
_MAX_NAME_CHARACTERS = 40


class _Line(dict[str, object]):
    """A mapping that is written in one line."""


class _Names(list[str]):
    """A list that is written in one line."""


class _Quoted(str):
    """Text in double quotes: parameters must mean the same in every YAML, and in JSON."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, which the reader refuses."""

    def ignore_aliases(self, _data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # PyYAML's
        """Indent the items of a list below its key, as the examples do."""
        super().increase_indent(flow, indentless=False)


_Dumper.add_representer(_Line, lambda dumper, data: dumper.represent_mapping(f"{_TAG}map", data, flow_style=True))
_Dumper.add_representer(_Names, lambda dumper, data: dumper.represent_sequence(f"{_TAG}seq", data, flow_style=True))
_Dumper.add_representer(_Quoted, lambda dumper, data: dumper.represent_scalar(f"{_TAG}str", data, style='"'))
_Dumper.add_representer(
    str,  # outside double quotes PyYAML reads U+0085 back as a line feed
    lambda dumper, data: dumper.represent_scalar(f"{_TAG}str", data, style='"' if "\x85" in data else None),
)


def model_names(policy_set: PolicySet) -> dict[ModelTarget, str]:
    """Name each model of a set by the last part of what the caller calls it; of two alike the later gets a number."""
    targets = [target for route in policy_set.routes for target in route.models]
    names: dict[ModelTarget, str] = {}
    taken: set[str] = set()
    for target in dict.fromkeys((*targets, *policy_set.fallback_models)):
        base = _NAME.sub("-", target.model.rsplit("/", 1)[-1].lower()).strip("-")[:_MAX_NAME_CHARACTERS] or "model"
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}-{count}"
        names[target] = name
        taken.add(name)
    return names


def policy_file(policy_set: PolicySet, comments: Iterable[str] = ()) -> str:
    """Write a policy set as a policy file, its routes as a flat list, with comments of one line each above it."""
    names = model_names(policy_set)
    document: dict[str, object] = {"policy_set": policy_set.id}
    if policy_set.description:
        document["description"] = policy_set.description
    if policy_set.min_confidence is not None:
        document["min_confidence"] = policy_set.min_confidence
    document["fallback"] = _Names(names[target] for target in policy_set.fallback_models)
    document["models"] = {name: _declaration(target) for target, name in names.items()}
    document["routes"] = [_route(route, names) for route in policy_set.routes]
    return _written(document, comments)


def suite_file(suite: Suite, comments: Iterable[str] = ()) -> str:
    """Write a suite, with comments of one line each above it."""
    cases = [
        {
            "name": case.name,
            "messages": [{message.role.value: message.content} for message in case.messages],
            "expect": _Line(
                {"route": case.expected_route_id or NO_MATCH_ID}
                | ({"outcome": case.expected_outcome.name} if case.expected_outcome else {})
            ),
        }
        for case in suite.cases
    ]
    return _written({"policy_set": suite.policy_set_id, "tests": cases}, comments)


def _declaration(target: ModelTarget) -> _Line:
    parameters = _quoted(json.loads(target.parameters_json))
    return _Line({"model": target.model} | ({"parameters": parameters} if parameters else {}))


def _quoted(value: object) -> object:
    if isinstance(value, str):
        return _Quoted(value)
    if isinstance(value, dict):
        return _Line({key: _quoted(item) for key, item in value.items()})
    return [_quoted(item) for item in value] if isinstance(value, list) else value


def _route(route: RoutePolicy, names: dict[ModelTarget, str]) -> dict[str, object]:
    fields: dict[str, object] = {
        "id": route.id,
        "domain": route.domain,
        "action": route.action,
        "description": route.description,
        "models": _Names(names[target] for target in route.models),
        "examples": list(route.examples),
        "not_examples": list(route.not_examples),
    }
    if route.min_confidence is not None:
        fields["min_confidence"] = route.min_confidence
    return {key: value for key, value in fields.items() if value not in ("", [])}


def _written(document: dict[str, object], comments: Iterable[str]) -> str:
    text = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return "".join(f"# {comment}\n" for comment in comments) + str(text)
