"""YAML text to a tree of nodes that know their line and column, or to the one finding that forbids it.

What remains of YAML is what policy and endpoints files need: one document of mappings, lists and scalars. Anchors,
aliases and tags are refused, because a reader must know their rules to know the meaning, and because a few lines of
aliases expand to gigabytes. Sizes are bounded before they cost anything.
"""

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, cast

import yaml
from yaml.composer import Composer
from yaml.reader import Reader
from yaml.resolver import Resolver

from archrouter.domain.findings import Finding, Severity, quoted

MAX_DOCUMENT_BYTES = 1024 * 1024
"""As much as a Kubernetes ConfigMap holds, the way most policy files travel."""

MAX_NODE_COUNT = 40_000
"""Keys and values. Twice what a set of 512 routes with all its examples needs; bounds the time of reading, which is
slow per node."""

MAX_DEPTH = 32
"""Nested mappings and lists. Far more than anybody writes; keeps the parser's recursion off the stack's end."""

_NodeEvent: TypeAlias = yaml.AliasEvent | yaml.ScalarEvent | yaml.CollectionStartEvent


class _Mark(Protocol):
    """A position as the parser counts it, from 0."""

    line: int
    column: int


class _RefusedError(Exception):
    """Valid YAML that this project does not read."""

    def __init__(self, message: str, mark: _Mark | None) -> None:
        super().__init__(message)
        self.mark = mark


class _StrictComposer(Composer, Resolver):
    """Composes nodes of libyaml's events and refuses, at the first one, what the module's text forbids.

    PyYAML's own parser gives the same events in sixteen times the time, for which it keeps the interpreter from calls.
    """

    def __init__(self, text: str) -> None:
        Composer.__init__(self)
        Resolver.__init__(self)
        parser = yaml.CBaseLoader(text)
        self.check_event, self.peek_event, self.get_event = parser.check_event, parser.peek_event, parser.get_event
        self._depth = 0
        self._node_count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # The parser is only asked for a node where one begins.
        event = cast("_NodeEvent", self.next_event())
        self._depth += 1
        self._node_count += 1
        if problem := self._size_problem() or _event_problem(event):
            raise _RefusedError(problem, event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def next_event(self) -> yaml.Event:
        return cast("yaml.Event", self.peek_event())

    def _size_problem(self) -> str:
        if self._depth > MAX_DEPTH:
            return f"more than {MAX_DEPTH} levels of mappings and lists; flatten the document"
        if self._node_count > MAX_NODE_COUNT:
            return f"more than {MAX_NODE_COUNT} keys and values; split the document"
        return ""


def read_text(path: Path) -> str | Finding:
    """Read a file of UTF-8 text, of any size and kind; return the text, or why it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return _error("is not a regular file; remove it or rename it")
        with path.open("rb") as file:
            content = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        return _error(f"cannot be read: {error.strerror}; check that it exists and its permissions")
    if len(content) > MAX_DOCUMENT_BYTES:
        return _error(f"has more than {MAX_DOCUMENT_BYTES} bytes; split it")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        return _error(f"the byte 0x{content[error.start]:02X} is not UTF-8; save the file as UTF-8", *_position(before))


def compose_document(text: str, begin_with: str) -> yaml.MappingNode | Finding:
    """Parse one YAML document whose top is a mapping.

    Args:
        text: The document; untrusted.
        begin_with: How such a document begins, for the message about one that does not.

    Returns:
        Its root, or an error with an empty field path and the position where parsing ended.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_DOCUMENT_BYTES:
        return _error(f"the document has {size} bytes, more than {MAX_DOCUMENT_BYTES}; split it")
    if refused := Reader.NON_PRINTABLE.search(text):
        message = f"the character U+{ord(refused.group()):04X} is not allowed in YAML; remove it"
        return _error(message, *_position(text[: refused.start()]))
    try:
        return _root(_StrictComposer(text), begin_with)
    except _RefusedError as error:
        return _finding(str(error), error.mark)
    except yaml.MarkedYAMLError as error:
        return _syntax_finding(error, text.splitlines())


def _root(composer: _StrictComposer, begin_with: str) -> yaml.MappingNode | Finding:
    if not composer.check_node():
        return _error(f"the document is empty; begin with {begin_with}", 1, 1)
    begin = composer.next_event().start_mark
    root = composer.get_node()
    if composer.check_node():
        return _finding("a second document begins; write one per file", composer.next_event().start_mark)
    if not isinstance(root, yaml.MappingNode):
        return _finding(f"the document is not a mapping; begin with {begin_with}", begin)
    return root


def _event_problem(event: _NodeEvent) -> str:
    if isinstance(event, yaml.AliasEvent):
        return f"the alias {quoted(f'*{event.anchor}')} is not supported; write the value out"
    if event.anchor is not None:
        return f"the anchor {quoted(f'&{event.anchor}')} is not supported; remove it, and write out values used twice"
    if event.tag is not None:
        return f"the tag {quoted(event.tag)} is not supported; remove it, and quote the value if it is text"
    return ""


def _syntax_finding(error: yaml.MarkedYAMLError, lines: Sequence[str]) -> Finding:
    context = ""
    if error.context and error.context_mark:
        context = f" ({error.context}, begun in line {error.context_mark.line + 1})"
    remedy = "check indentation (spaces, no tabs), colons, quotes and escapes"
    message = f"not valid YAML: {error.problem}{context}; {remedy}"
    if error.problem_mark and error.problem_mark.line >= len(lines):  # what is missing at the end is shown there
        return _error(message, len(lines), len(lines[-1]) + 1)
    return _finding(message, error.problem_mark)


def _finding(message: str, mark: _Mark | None) -> Finding:
    return _error(message, mark.line + 1, mark.column + 1) if mark else _error(message)


def _error(message: str, line: int = 0, column: int = 0) -> Finding:
    return Finding(Severity.ERROR, "", message, line, column)


def _position(before: str) -> tuple[int, int]:
    """Return the 1-based line and column of what follows a text."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")
