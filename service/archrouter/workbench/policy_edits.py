"""Another wording written into the text of a policy file, all else left as its author wrote it."""

import difflib
import json
import textwrap
from collections.abc import Iterator

import yaml

from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.policy_files.policies import read_policy_document
from archrouter.workbench.edits import read_nodes
from archrouter.workbench.policies import WorkbenchError

_WIDTH = 110
_LISTS = ("examples", "not_examples")

_Edit = tuple[int, int, str]
"""Characters from, to, and what stands there instead."""


class EditError(Exception):
    """The text has a form that cannot be edited by rule."""


def reworded(text: str, proposed: PolicySet) -> str:
    """Write descriptions and added examples into a policy file.

    Args:
        text: A valid policy file.
        proposed: The set it should hold: the same routes, some with another description, some with more examples.

    Returns:
        The text that holds it.

    Raises:
        EditError: When the text with the changes does not hold the proposed set.
    """
    try:
        held, _, mappings = read_nodes(text)
    except WorkbenchError as error:
        raise EditError(str(error)) from error
    edits = [
        edit
        for mapping, before, after in zip(mappings, held.routes, proposed.routes, strict=True)
        if before != after
        for edit in _route_edits(text, mapping, before, after)
    ]
    for start, end, replacement in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        text = text[:start] + replacement + text[end:]
    if read_policy_document(text).content != proposed:
        msg = f"the wording of {proposed.id} cannot be written into the file by rule; write it by hand"
        raise EditError(msg)
    return text


def unified_diff(name: str, before: str, after: str) -> str:
    """Write the difference of two texts of one file as ``git apply`` and ``patch -p1`` take it."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _route_edits(text: str, mapping: yaml.MappingNode, before: RoutePolicy, after: RoutePolicy) -> Iterator[_Edit]:
    values = {key.value: value for key, value in mapping.value}
    if before.description != after.description:
        node = values["description"]
        start, end = _span(text, node)
        yield start, end, _description(text[end:], mapping, node, after.description)
    for key in _LISTS:
        added = getattr(after, key)[len(getattr(before, key)) :]
        if added:
            yield _list_edit(text, mapping, key, values.get(key), added)


def _description(rest: str, mapping: yaml.MappingNode, node: yaml.Node, wanted: str) -> str:
    """Write a block where there was one or a line would be long; else quoted, as what follows on a line demands."""
    column, is_last = mapping.start_mark.column, not rest.partition("\n")[0].strip()
    is_block = isinstance(node, yaml.ScalarNode) and node.style in {">", "|"}
    fits = not is_block and column + len("description: ") + len(wanted) <= _WIDTH
    return _quoted(wanted) if mapping.flow_style or fits or not is_last else _folded(wanted, column)


def _list_edit(text: str, mapping: yaml.MappingNode, key: str, node: yaml.Node | None, added: tuple[str, ...]) -> _Edit:
    """Add items to a list, or the list to its route: after the description, where a reader looks for it."""
    if isinstance(node, yaml.SequenceNode) and node.value:
        last = _span(text, node.value[-1])[1]
        if node.flow_style:
            return last, last, "".join(f", {_quoted(item)}" for item in added)
        return last, last, _items(node.start_mark.column, added)
    values = {each.value: value for each, value in mapping.value}
    last = _span(text, values.get("description") or mapping.value[-1][1])[1]
    if mapping.flow_style:
        return last, last, f", {key}: [{', '.join(map(_quoted, added))}]"
    column = mapping.start_mark.column
    return last, last, f"\n{' ' * column}{key}:{_items(column + 2, added)}"


def _items(column: int, texts: tuple[str, ...]) -> str:
    return "".join(f"\n{' ' * column}- {_quoted(text)}" for text in texts)


def _span(text: str, node: yaml.Node) -> tuple[int, int]:
    """Return where a node's characters are, without the white space that some forms end with."""
    start, end = node.start_mark.index, node.end_mark.index
    return start, start + len(text[start:end].rstrip())


def _quoted(text: str) -> str:
    """Write any text as a double-quoted scalar: JSON's strings are YAML's."""
    return json.dumps(text, ensure_ascii=False)


def _folded(text: str, column: int) -> str:
    """Write a description as people do, a folded block; quoted where folding would change it."""
    lines = textwrap.wrap(text, _WIDTH - column, break_long_words=False, break_on_hyphens=False)
    if text != " ".join(lines):
        return _quoted(text)
    return ">-" + "".join(f"\n{' ' * (column + 2)}{line}" for line in lines)
