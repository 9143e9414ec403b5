"""Typed reading of YAML fields: every value of an unexpected kind becomes a finding where it stands.

YAML 1.1, which PyYAML speaks, reads some plain words in ways their author rarely means: ``no`` is a boolean, ``010``
is eight, ``12:30`` is 750, ``1e3`` is text. Nothing is converted silently here; such a value is an error that says how
to write what was meant.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import yaml

from archrouter.domain.findings import Finding, Severity, quoted
from archrouter.strict_yaml.fields import (
    FLOAT_TAG,
    INTEGER_TAG,
    MERGE_TAG,
    TEXT_TAG,
    Entry,
    Field,
    Table,
    listed,
    suggestion,
)

MAX_FINDINGS = 100
"""Findings listed of one document; whoever has more needs the first ones only."""

MAX_EXACT_INTEGER = 2**53
"""Numbers reach the caller as doubles (`google.protobuf.Struct`), which skip integers beyond it."""

_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*|([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?)")
_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")


class FieldReader:
    """Reads the fields of one document and collects what is wrong with them."""

    def __init__(self) -> None:
        """Start without findings."""
        self._findings: list[Finding] = []

    @property
    def is_clean(self) -> bool:
        """Whether nothing was reported so far."""
        return not self._findings

    def report(self, field: Field, message: str, severity: Severity = Severity.ERROR) -> None:
        """Add a finding.

        Args:
            field: Where it is.
            message: What is wrong, with which value, and the remedy.
            severity: Whether the document can still be used.
        """
        self._findings.append(Finding(severity, field.path, message, field.line, field.column))

    def add(self, findings: Iterable[Finding]) -> None:
        """Add findings that already know their place.

        Args:
            findings: Any number.
        """
        self._findings.extend(findings)

    def findings(self) -> tuple[Finding, ...]:
        """List what was found.

        Returns:
            Distinct findings in the order of the document, at most `MAX_FINDINGS`; one more then counts the rest.
        """
        found = sorted(dict.fromkeys(self._findings), key=lambda finding: (finding.line, finding.column))
        kept, rest = found[:MAX_FINDINGS], found[MAX_FINDINGS:]
        if rest:
            severity = Severity.ERROR if any(f.severity is Severity.ERROR for f in rest) else Severity.WARNING
            kept.append(Finding(severity, "", f"{len(rest)} more findings are not listed; correct these first"))
        return tuple(kept)

    def mapping(self, field: Field) -> Mapping[str, Entry] | None:
        """Read a mapping with any keys.

        Args:
            field: The value.

        Returns:
            Its entries in order, without those of an unusable or repeated key; None when it is no mapping.
        """
        if not isinstance(field.node, yaml.MappingNode):
            self.report(field, f"{field.description}; write a mapping")
            return None
        return self._entries(field)

    def table(self, field: Field, keys: Sequence[str]) -> Table | None:
        """Read a mapping with known keys; each unknown one is an error.

        Args:
            field: The value.
            keys: All keys it may have.

        Returns:
            The known ones; None when it is no mapping.
        """
        if not isinstance(field.node, yaml.MappingNode):
            self.report(field, f"{field.description}; write a mapping with keys such as {listed(keys)}")
            return None
        return self._table(field, keys)

    def root(self, node: yaml.MappingNode, keys: Sequence[str]) -> Table:
        """Read the top of a document, which is a mapping with known keys.

        Args:
            node: The top.
            keys: All keys it may have.

        Returns:
            The known ones.
        """
        return self._table(Field("", node), keys)

    def required(self, table: Table, key: str, remedy: str) -> Field | None:
        """Read a key that must be there.

        Args:
            table: The mapping.
            key: The key.
            remedy: What to write, for the message.

        Returns:
            Its value; None when it is missing, which is reported at the mapping.
        """
        if not table.mentions([key]):
            self.report(table.field.child(key, table.field.node), f"is missing; {remedy}")
        return table.get(key)

    def items(self, field: Field) -> tuple[Field, ...] | None:
        """Read a list.

        Args:
            field: The value.

        Returns:
            Its items, possibly none; None when it is no list.
        """
        if not isinstance(field.node, yaml.SequenceNode):
            self.report(field, f"{field.description}; write a list")
            return None
        return tuple(Field(f"{field.path}[{index}]", node) for index, node in enumerate(field.node.value))

    def text(self, field: Field) -> str | None:
        """Read a text.

        Args:
            field: The value.

        Returns:
            The text as it stands, possibly empty; None when it is anything else.
        """
        if field.node.tag == TEXT_TAG:
            return str(field.node.value)
        is_word = isinstance(field.node, yaml.ScalarNode) and field.has_value
        self.report(field, f"{field.description}; {'quote it if it is meant as text' if is_word else 'write text'}")
        return None

    def number(self, field: Field) -> float | None:
        """Read a number in decimal notation.

        Args:
            field: The value.

        Returns:
            A finite number; None when it is anything else, or an integer that a double cannot hold.
        """
        if field.node.tag not in {INTEGER_TAG, FLOAT_TAG}:
            example = "1.0e-3" if is_number_elsewhere(field) else "0.5"
            self.report(field, f"{field.description}; write a number such as {example}")
            return None
        text = str(field.node.value)
        value = float(text) if _DECIMAL.fullmatch(text) else math.nan
        if not math.isfinite(value):
            self.report(field, f"{quoted(text)} is no finite decimal number; write one, or quote it as text")
            return None
        if field.node.tag == INTEGER_TAG and abs(int(text)) > MAX_EXACT_INTEGER:
            self.report(field, f"{quoted(text)} is beyond 2^53 and would reach the caller rounded; quote it as text")
            return None
        return value

    def _entries(self, field: Field) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for key_node, value_node in field.node.value:
            if key_node.tag != TEXT_TAG:
                self._report_key(Field(field.path, key_node))
                continue
            key = str(key_node.value)
            entry = Entry(field.child(key, key_node), field.child(key, value_node))
            first = entries.setdefault(key, entry)
            if first is not entry:
                self.report(entry.key, f"the key {quoted(key)} is already in line {first.key.line}; remove one of them")
        return entries

    def _table(self, field: Field, keys: Sequence[str]) -> Table:
        entries = self._entries(field)
        known = {key: entry for key, entry in entries.items() if key in keys}
        guesses: set[str] = set()
        for key in entries.keys() - known.keys():
            guess = suggestion(key, keys)
            guesses.add(guess)
            remedy = f"did you mean {quoted(guess)}?" if guess else f"the keys here are {listed(keys)}"
            self.report(entries[key].key, f"unknown key {quoted(key)}; {remedy}")
        return Table(field, known, frozenset(guesses - {""}), is_known=len(known) == len(field.node.value))

    def _report_key(self, key: Field) -> None:
        if key.node.tag == MERGE_TAG:
            remedy = "write the merged keys out"
        elif isinstance(key.node, yaml.ScalarNode) and key.has_value:
            remedy = "quote it"
        else:
            remedy = "write a name"
        self.report(key, f"the key {key.description}; {remedy}")


def is_number_elsewhere(field: Field) -> bool:
    """Recognise a plain word that is text for YAML 1.1 but a number for YAML 1.2 and JSON.

    Args:
        field: The value.

    Returns:
        True for ``1e3`` or ``1.5e3``, without quotes.
    """
    node = field.node
    return (
        isinstance(node, yaml.ScalarNode)
        and node.tag == TEXT_TAG
        and node.style is None
        and _EXPONENT.fullmatch(node.value) is not None
    )
