"""Changes of a policy file's text that leave every other character alone, comments included."""

import difflib
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

from archrouter.domain.findings import Finding, Severity
from archrouter.domain.policy import PolicySet, RoutePolicy, ThresholdPromise
from archrouter.policy_files.policies import read_policy_document
from archrouter.strict_yaml.nodes import compose_document
from archrouter.workbench.policies import WorkbenchError

_WIDTH = 110
_BYTE_ORDER_MARK = "\ufeff"

_Edit = tuple[int, int, str]
"""Characters from, to, and what stands there instead."""


def edited(text: str, intended: PolicySet) -> str:
    """Write into a policy file what a set says otherwise than it does.

    Args:
        text: A usable policy file.
        intended: What it should say: the same but for descriptions, added examples, thresholds and their promise.

    Returns:
        The text that says it; values stand in place of the old ones, or after the description. O(len(text)).

    Raises:
        WorkbenchError: When the text is no policy file, or does not say it after the changes, whatever form its author
            gave it.
    """
    if text.startswith(_BYTE_ORDER_MARK):  # which the parser does not count
        return _BYTE_ORDER_MARK + edited(text.removeprefix(_BYTE_ORDER_MARK), intended)
    held, root, mappings = _read_nodes(text)
    edits = [*_set_edits(text, root, held, intended)]
    for mapping, before, after in zip(mappings, held.routes, intended.routes, strict=False):
        edits.extend(_route_edits(text, mapping, before, after))
    # From the end of the text, so that places stay right; of several at one place the first comes to stand first.
    for _, (start, end, replacement) in sorted(enumerate(edits), key=lambda one: (one[1][0], one[0]), reverse=True):
        text = text[:start] + replacement + text[end:]
    if read_policy_document(text).content != intended:
        msg = f"what {intended.id!r} should say cannot be written into the file by rule; change it by hand"
        raise WorkbenchError(msg)
    return text


def file_diff(path: Path, before: str, after: str) -> str:
    """Write the difference of two texts of one file as ``git apply`` and ``patch -p1`` take it; empty without any.

    The file is named as seen from here, where they will run; one that is elsewhere by its name alone.
    """
    here, there = Path.cwd(), path.resolve()
    name = there.relative_to(here).as_posix() if there.is_relative_to(here) else path.name
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _read_nodes(text: str) -> tuple[PolicySet, yaml.MappingNode, list[yaml.MappingNode]]:
    """Read a policy file: its set, the file's mapping, and the mapping of each route in the order of the set."""
    document, root = read_policy_document(text), compose_document(text, "policy_set")
    if document.content is None or isinstance(root, Finding):
        msg = "the file does not hold a valid policy set"
        raise WorkbenchError(msg)
    mappings = {(node.start_mark.line, node.start_mark.column): node for node in _mappings(root)}
    paths = (Finding(Severity.ERROR, f"routes[{index}]", "") for index in range(len(document.content.routes)))
    places = document.places.locate(paths)
    return document.content, root, [mappings[place.line - 1, place.column - 1] for place in places]


def _set_edits(text: str, root: yaml.MappingNode, before: PolicySet, after: PolicySet) -> Iterator[_Edit]:
    if after.min_confidence is not None and before.min_confidence != after.min_confidence:
        yield _value_edit(text, root, "min_confidence", f" {after.min_confidence:g}")
    if after.promise is not None and before.promise != after.promise:
        yield _value_edit(text, root, "calibration", f" {_calibration(after.promise)}")


def _route_edits(text: str, mapping: yaml.MappingNode, before: RoutePolicy, after: RoutePolicy) -> Iterator[_Edit]:
    node = _values(mapping).get("description")
    if node is not None and before.description != after.description:
        end = _end(text, node)
        yield node.start_mark.index, end, _description(text[end:], mapping, node, after.description)
    if after.min_confidence is not None and before.min_confidence != after.min_confidence:
        yield _value_edit(text, mapping, "min_confidence", f" {after.min_confidence:g}")
    for key, texts, count in (
        ("examples", after.examples, len(before.examples)),
        ("not_examples", after.not_examples, len(before.not_examples)),
    ):
        if texts[count:]:
            yield _list_edit(text, mapping, key, texts[count:])


def _value_edit(text: str, mapping: yaml.MappingNode, key: str, value: str) -> _Edit:
    """Put a value, with the white space before it, in place of the old one; a new key where a reader looks for it."""
    for key_node, value_node in mapping.value:
        if key_node.value == key:
            return text.index(":", key_node.end_mark.index) + 1, _end(text, value_node), value
    if mapping.flow_style:
        end = _end(text, mapping.value[-1][1])
        return end, end, f", {key}:{value}"
    end = _line_end(text, _values(mapping).get("description") or mapping.value[0][1])
    return end, end, f"\n{' ' * mapping.start_mark.column}{key}:{value}"


def _list_edit(text: str, mapping: yaml.MappingNode, key: str, added: tuple[str, ...]) -> _Edit:
    """Add items to a list, or the list to its route."""
    node = _values(mapping).get(key)
    if isinstance(node, yaml.SequenceNode) and node.value:
        if node.flow_style:
            end = _end(text, node.value[-1])
            return end, end, "".join(f", {_quoted(item)}" for item in added)
        end = _line_end(text, node.value[-1])
        return end, end, _items(node.start_mark.column, added)
    is_flow = mapping.flow_style or node is not None
    value = f" [{', '.join(map(_quoted, added))}]" if is_flow else _items(mapping.start_mark.column + 2, added)
    return _value_edit(text, mapping, key, value)


def _description(rest: str, mapping: yaml.MappingNode, node: yaml.Node, wanted: str) -> str:
    """Write a block where there was one or a line would be long; else quoted, as what follows on a line demands."""
    column, is_last = mapping.start_mark.column, not rest.partition("\n")[0].strip()
    is_block = isinstance(node, yaml.ScalarNode) and node.style in {">", "|"}
    fits = not is_block and column + len("description: ") + len(wanted) <= _WIDTH
    return _quoted(wanted) if mapping.flow_style or fits or not is_last else _folded(wanted, column)


def _calibration(promise: ThresholdPromise) -> str:
    return (
        f"{{max_error: {promise.max_error!r}, level: {promise.level!r}, cases: {promise.case_count},\n"
        f'  model_version: "{promise.model_version}",\n'
        f'  revision: "{promise.revision}"}}'
    )


def _items(column: int, texts: tuple[str, ...]) -> str:
    return "".join(f"\n{' ' * column}- {_quoted(text)}" for text in texts)


def _quoted(text: str) -> str:
    """Write any text as a double-quoted scalar: JSON's strings are YAML's."""
    return json.dumps(text, ensure_ascii=False)


def _folded(text: str, column: int) -> str:
    """Write a description as people do, a folded block; quoted where folding would change it."""
    lines = textwrap.wrap(text, _WIDTH - column, break_long_words=False, break_on_hyphens=False)
    if text != " ".join(lines):
        return _quoted(text)
    return ">-" + "".join(f"\n{' ' * (column + 2)}{line}" for line in lines)


def _values(mapping: yaml.MappingNode) -> dict[str, yaml.Node]:
    return {key.value: value for key, value in mapping.value}


def _line_end(text: str, node: yaml.Node) -> int:
    """Find the end of the line where a node ends, after a comment that belongs to it."""
    found = text.find("\n", _end(text, node))
    return len(text) if found < 0 else found


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
