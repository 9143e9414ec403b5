"""From YAML text to a checked domain object whose every field can be found again in the text.

A document is described by classes derived from `Table`. Pydantic holds the values against them; what it finds becomes
findings where the values stand, and what cannot be read keeps its default, so that the rest is still checked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Generic, Self, TypeVar, cast

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from archrouter.domain.findings import Finding, Severity, has_errors, quoted
from archrouter.strict_yaml.nodes import compose_document, read_text
from archrouter.strict_yaml.values import (
    Place,
    UnreadableError,
    Value,
    YamlList,
    YamlMap,
    as_number,
    as_text,
    listed,
    suggestion,
    value_at,
)

MAX_FINDINGS = 100
"""Findings listed of one document; an author with more needs only the first ones."""

Text = Annotated[str, BeforeValidator(as_text)]
Number = Annotated[float, BeforeValidator(as_number)]

_REMEDIES = {"tuple_type": "write a list", "dict_type": "write a mapping"}


class Reading:
    """What comes to light while a document is read: findings, and where the fields of the domain object stand."""

    def __init__(self) -> None:
        """Start without findings and places."""
        self._findings: list[Finding] = []
        self._places: dict[str, Place | None] = {}

    def put(self, domain_path: str, place: Place | None) -> None:
        """Remember where a field such as ``routes[3].id`` was written.

        None means that it was left out or could not be read: what the domain says of the default that stands in for
        it is not the author's fault.
        """
        self._places[domain_path] = place

    def locate(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Translate findings about the domain object into findings about the text.

        Each gets the author's path, line and column: those of the field itself, or of the nearest one around it.
        Findings about a field that could not be read are left out.
        """
        placed = [(self._nearest(finding.field_path), finding) for finding in findings]
        return tuple(
            Finding(finding.severity, place.path, finding.message, place.line, place.column)
            for place, finding in placed
            if place is not None
        )

    def _nearest(self, path: str) -> Place | None:
        while path and path not in self._places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._places.get(path)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was reported so far."""
        return not self._findings

    def report(self, place: Place, message: str, severity: Severity = Severity.ERROR) -> None:
        """Add a finding: what is wrong, with which value, and the remedy."""
        self._findings.append(Finding(severity, place.path, message, place.line, place.column))

    def findings(self, others: Iterable[Finding] = ()) -> tuple[Finding, ...]:
        """List distinct findings in the order of the document, `MAX_FINDINGS` at most; one more counts the rest."""
        distinct = dict.fromkeys((*self._findings, *others))
        found = sorted(distinct, key=lambda finding: (finding.line, finding.column))
        kept, rest = tuple(found[:MAX_FINDINGS]), tuple(found[MAX_FINDINGS:])
        if not rest:
            return kept
        severity = Severity.ERROR if has_errors(rest) else Severity.WARNING
        return (*kept, Finding(severity, "", f"{len(rest)} more findings are not listed; correct these first"))


class Table(BaseModel):
    """A mapping with known keys, each with a default. A key with a description must be there: it says what to write."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    _source: YamlMap = PrivateAttr()
    _misspelled: AbstractSet[str] = PrivateAttr()
    _unreadable: AbstractSet[str] = PrivateAttr()

    @property
    def place(self) -> Place:
        """Where the mapping stands."""
        return self._source.place

    def at(self, key: str) -> Place | None:
        """Return where the value of a key stands; None when it was left out or could not be read."""
        return self._source[key].place if key in self._source and key not in self._unreadable else None

    def given(self) -> tuple[str, ...]:
        """Return the keys that are there, known or not."""
        return tuple(self._source)

    def mentions(self, *keys: str) -> bool:
        """Say whether the author meant to write one of several keys, be it misspelled."""
        return any(key in self._source or key in self._misspelled for key in keys)

    def needed(self) -> Iterable[str]:
        """Return the keys that must be there."""
        return [key for key, field in type(self).model_fields.items() if field.description]

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, value: Value, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        keys = tuple(cls.model_fields)
        if not isinstance(value, YamlMap):
            msg = f"{value.place.description}; write a mapping with keys such as {listed(keys)}"
            raise UnreadableError(msg)
        if isinstance(value.table, cls):  # read already, before something beside it turned out to be unreadable
            return value.table
        reading = cast("Reading", info.context)
        misspelled: set[str] = set()
        wrong: dict[str, set[int | str]] = {}
        try:
            table = handler(dict(value))
        except ValidationError as error:
            for item in error.errors(include_url=False):
                key, *inside = item["loc"]
                wrong.setdefault(str(key), set()).update(inside[:1])
                if item["type"] == "extra_forbidden":
                    misspelled.add(_report_unknown(item["input"].place.of_key(), str(key), keys, reading))
                else:
                    reading.report(item["input"].place, _message(item))
            table = handler(_without(value, wrong))
        table._source, table._misspelled, table._unreadable = value, misspelled, wrong.keys()  # noqa: SLF001  # its own
        for key in table.needed():
            if not table.mentions(key):
                message = f"is missing; {cls.model_fields[key].description}"
                reading.report(value.place.child(key, value.place.node), message)
        value.table = table
        return table


TableT = TypeVar("TableT", bound=Table)
ContentT = TypeVar("ContentT")


@dataclass(frozen=True, slots=True)
class LocatedFinding:
    """A finding and the file it is in."""

    path: Path
    finding: Finding

    @property
    def is_error(self) -> bool:
        """Whether it keeps the file from being used."""
        return self.finding.severity is Severity.ERROR

    def __str__(self) -> str:
        """Write it as compilers do: ``file:line:column: severity: path: message``."""
        return self._written(f":{self.finding.column}", f"{self.finding.severity.value}: ")

    def brief(self) -> str:
        """Write it for a list in which everything is an error: ``file:line: path: message``."""
        return self._written("", "")

    def _written(self, column: str, severity: str) -> str:
        finding = self.finding
        place = f"{self.path}:{finding.line}{column}" if finding.line else str(self.path)
        subject = f"{finding.field_path}: " if finding.field_path else ""
        return f"{place}: {severity}{subject}{finding.message}"


@dataclass(frozen=True, slots=True)
class YamlDocument(Generic[ContentT]):
    """What one document gave.

    Attributes:
        content: The domain object; None when a finding is an error.
        findings: Everything found, in the order of the document.
        places: Where the fields of the content stand.
    """

    content: ContentT | None
    findings: tuple[Finding, ...]
    places: Reading


def read_file(path: Path, read: Callable[[str], YamlDocument[ContentT]]) -> YamlDocument[ContentT]:
    """Read a file of any size, kind and content; one that cannot be read gives the finding that says why."""
    text = read_text(path)
    return YamlDocument(None, (text,), Reading()) if isinstance(text, Finding) else read(text)


def read_document(
    text: str,
    table: type[TableT],
    build: Callable[[TableT, Reading], ContentT],
    check: Callable[[ContentT], Iterable[Finding]],
    begin_with: str,
) -> YamlDocument[ContentT]:
    """Read one document and check what it says.

    Args:
        text: The document; untrusted.
        table: Keys of its top mapping.
        build: Makes the domain object, with the table's defaults for what was reported as unreadable.
        check: The domain's own rules.
        begin_with: How such a document begins, for the message about one that does not.

    Returns:
        The document, with the findings of the syntax, the reading and the check.
    """
    root = compose_document(text, begin_with)
    if isinstance(root, Finding):
        return YamlDocument(None, (root,), Reading())
    reading = Reading()
    top = read_table(root, table, reading)
    reading.put("", top.place)
    content = build(top, reading)
    findings = reading.findings(reading.locate(check(content)))
    return YamlDocument(None if has_errors(findings) else content, findings, reading)


def read_table(root: yaml.MappingNode, table: type[TableT], reading: Reading) -> TableT:
    """Read the top of a document, with the table's defaults for what cannot be read."""
    return table.model_validate(value_at(Place("", root), reading.report), context=reading)


def _report_unknown(place: Place, key: str, keys: Sequence[str], reading: Reading) -> str:
    """Report an unknown key; return the known one that it seems to mean."""
    guess = suggestion(key, keys)
    remedy = f"did you mean {quoted(guess)}?" if guess else f"the keys here are {listed(keys)}"
    reading.report(place, f"unknown key {quoted(key)}; {remedy}")
    return guess


def _message(error: ErrorDetails) -> str:
    if error["type"] in _REMEDIES:
        return f"{error['input'].place.description}; {_REMEDIES[error['type']]}"
    return str(error["ctx"]["error"])


def _without(mapping: YamlMap, wrong: Mapping[str, set[int | str]]) -> dict[str, object]:
    """Leave out the values that are wrong, or the parts of them."""
    rest: dict[str, object] = {key: value for key, value in mapping.items() if key not in wrong}
    for key, parts in wrong.items():
        value = mapping[key]
        if parts and isinstance(value, YamlList):
            rest[key] = [item for index, item in enumerate(value) if index not in parts]
        elif parts and isinstance(value, YamlMap):
            rest[key] = {name: item for name, item in value.items() if name not in parts}
    return rest
