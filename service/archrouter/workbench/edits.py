"""Changes of a policy file's text that leave every other character alone, comments included."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import yaml

from archrouter.domain.findings import Finding, Severity
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
    policy_set, root, mappings = read_nodes(text)
    edits = [_edit(text, root, key, value) for key, value in values.items()]
    by_id = {route.id: mapping for route, mapping in zip(policy_set.routes, mappings, strict=True)}
    for route_id, keys in (routes or {}).items():
        if route_id not in by_id:
            msg = f"the route {route_id!r} was not found in the file"
            raise WorkbenchError(msg)
        edits.extend(_edit(text, by_id[route_id], key, value) for key, value in keys.items())
    # From the end of the text, so that places stay right; of several at one place the first comes to stand first.
    for _, (start, end, replacement) in sorted(enumerate(edits), key=lambda one: (one[1][0], one[0]), reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def read_nodes(text: str) -> tuple[PolicySet, yaml.MappingNode, list[yaml.MappingNode]]:
    """Read a policy file: its set, the file's mapping, and the mapping of each route in the order of the set.

    Raises:
        WorkbenchError: When the text holds no usable policy set.
    """
    document, root = read_policy_document(text), compose_document(text, "policy_set")
    if document.content is None or isinstance(root, Finding):
        msg = "the file does not hold a valid policy set"
        raise WorkbenchError(msg)
    mappings = {(node.start_mark.line, node.start_mark.column): node for node in _mappings(root)}
    paths = (Finding(Severity.ERROR, f"routes[{index}]", "") for index in range(len(document.content.routes)))
    places = document.places.locate(paths)
    return document.content, root, [mappings[place.line - 1, place.column - 1] for place in places]


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


def _mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _mappings(item)
