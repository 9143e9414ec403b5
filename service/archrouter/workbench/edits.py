"""Changes of a policy file's text that leave every other character alone, comments included."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import yaml

from archrouter.domain.findings import Finding
from archrouter.domain.policy import PolicySet
from archrouter.policy_files.policies import read_policy_document
from archrouter.strict_yaml.nodes import compose_document
from archrouter.workbench.policies import WorkbenchError


def set_values(text: str, values: Mapping[str, str], routes: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """Set keys of a policy file, of its top and of its routes.

    Args:
        text: A usable policy file.
        values: What the keys of the top are to be, as YAML: a number, or a flow mapping or list.
        routes: The same for each route that changes, by id.

    Returns:
        The text with these values in place of the old ones, or put in where the key was missing. O(len(text)).
    """
    root = compose_document(text, "policy_set")
    if isinstance(root, Finding):
        raise WorkbenchError(root.message)
    edits = [_edit(text, root, key, value) for key, value in values.items()]
    for route_id, keys in (routes or {}).items():
        edits.extend(_edit(text, _route_node(root, route_id), key, value) for key, value in keys.items())
    # From the end of the text, so that places stay right; of several at one place the first comes to stand first.
    for _, (start, end, replacement) in sorted(enumerate(edits), key=lambda one: (one[1][0], one[0]), reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def checked_edit(text: str, intended: PolicySet) -> str:
    """Make sure that an edited text says what was meant, whatever form its author gave it.

    Args:
        text: After `set_values`.
        intended: What it should say.

    Returns:
        The text.

    Raises:
        WorkbenchError: When it says something else; nothing was written then.
    """
    content = read_policy_document(text).content
    if content is None or content != intended:
        msg = f"the file of {intended.id!r} has a form that cannot be edited safely; change it by hand as shown above"
        raise WorkbenchError(msg)
    return text


def text_diff(path: Path, before: str, after: str) -> str:
    """Write a unified diff of a file, as reviewers read it; empty where nothing changes."""
    name = str(path)
    lines = difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), name, name)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _edit(text: str, mapping: yaml.MappingNode, key: str, value: str) -> tuple[int, int, str]:
    """Plan one change: from where to where, and what then stands there."""
    pairs = cast("list[tuple[yaml.ScalarNode, yaml.Node]]", mapping.value)
    for key_node, value_node in pairs:
        if key_node.value == key:
            return _after_colon(text, key_node), _end(text, value_node), f" {value}"
    end = _end(text, pairs[0][1])
    if mapping.flow_style:
        end = _end(text, pairs[-1][1])
        return end, end, f", {key}: {value}"
    line_end = text.find("\n", end)
    end = len(text) if line_end < 0 else line_end
    return end, end, f"\n{' ' * pairs[0][0].start_mark.column}{key}: {value}"


def _after_colon(text: str, key_node: yaml.ScalarNode) -> int:
    return text.index(":", key_node.end_mark.index) + 1


def _end(text: str, node: yaml.Node) -> int:
    """Find the end of what a node says, without the blank lines and comments after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    return len(text[: node.end_mark.index].rstrip())


def _route_node(root: yaml.MappingNode, route_id: str) -> yaml.MappingNode:
    """Find a route in either form of a policy file, by its id or by the domain and action that give it."""
    top = _members(root)
    for domain in _items(top.get("domains")):
        members = _members(domain)
        name = _word(members, "domain")
        if (_word(members, "id") or name) == route_id and "models" in members:
            return domain
        for action in _items(members.get("actions")):
            own = _members(action)
            if (_word(own, "id") or f"{name}_{_word(own, 'action')}") == route_id:
                return action
    for route in _items(top.get("routes")):
        own = _members(route)
        derived = "_".join(part for part in (_word(own, "domain"), _word(own, "action")) if part)
        if (_word(own, "id") or derived) == route_id:
            return route
    msg = f"the route {route_id!r} was not found in the file"
    raise WorkbenchError(msg)


def _members(node: yaml.MappingNode) -> dict[str, yaml.Node]:
    return {key.value: value for key, value in node.value}


def _items(node: yaml.Node | None) -> list[yaml.MappingNode]:
    return [item for item in node.value if isinstance(item, yaml.MappingNode)] if node is not None else []


def _word(members: Mapping[str, yaml.Node], key: str) -> str:
    return str(members[key].value) if key in members else ""
