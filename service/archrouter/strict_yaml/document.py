"""From YAML text to a checked domain object whose every field can be found again in the text."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from archrouter.domain.findings import Finding, has_errors
from archrouter.strict_yaml.fields import Field, Table
from archrouter.strict_yaml.nodes import POLICY_FILE_BEGIN, compose_document
from archrouter.strict_yaml.reader import FieldReader

ContentT = TypeVar("ContentT")


class Places:
    """Leads from the field paths of a domain object to the fields its author wrote."""

    def __init__(self) -> None:
        """Start empty."""
        self._fields: dict[str, Field | None] = {}

    def put(self, domain_path: str, field: Field | None) -> None:
        """Remember where a field comes from.

        Args:
            domain_path: E.g. ``routes[3].id``; empty for the whole.
            field: Where it was written; None when its reading has already been reported as failed, so that
                whatever the domain says of the placeholder in its place is not the author's fault.
        """
        self._fields[domain_path] = field

    def locate(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Translate findings about the domain object into findings about the text.

        Args:
            findings: With field paths of the domain object.

        Returns:
            The same with the author's paths, lines and columns: those of the field itself, or of the nearest one
            around it. Findings about a field that could not be read are left out.
        """
        placed = [(self._nearest(finding.field_path), finding) for finding in findings]
        return tuple(
            Finding(finding.severity, field.path, finding.message, field.line, field.column)
            for field, finding in placed
            if field is not None
        )

    def _nearest(self, path: str) -> Field | None:
        while path and path not in self._fields:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._fields.get(path)


class DocumentReader:
    """Reads the keys of a document into the fields of a domain object.

    A value that cannot be read is reported, gives an empty placeholder, and keeps the domain quiet about it.

    Attributes:
        fields: Reads single values and takes findings.
        places: Where the fields of the domain object come from.
    """

    def __init__(self, fields: FieldReader, places: Places) -> None:
        """Read with the given parts."""
        self.fields = fields
        self.places = places

    def text(self, table: Table, key: str, domain_path: str, remedy: str) -> str:
        """Read a text that must be there.

        Args:
            table: The mapping.
            key: Its key.
            domain_path: Field of the domain object that takes the text.
            remedy: What to write when it is missing, for the message.

        Returns:
            The text as it stands.
        """
        field = self.fields.required(table, key, remedy)
        value = self.fields.text(field) if field else None
        self.places.put(domain_path, None if value is None else field)
        return value or ""

    def optional_text(self, table: Table, key: str, domain_path: str) -> str:
        """Read a text that may be left out.

        Args:
            table: The mapping.
            key: Its key.
            domain_path: Field of the domain object that takes the text.

        Returns:
            The text as it stands; empty when it is left out.
        """
        return self.text(table, key, domain_path, "") if table.mentions([key]) else ""

    def optional_number(self, table: Table, key: str, domain_path: str) -> float | None:
        """Read a number that may be left out.

        Args:
            table: The mapping.
            key: Its key.
            domain_path: Field of the domain object that takes the number.

        Returns:
            A finite number; None when it is left out.
        """
        field = table.get(key)
        value = self.fields.number(field) if field else None
        self.places.put(domain_path, None if value is None else field)
        return value


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
    places: Places


def read_document(
    text: str,
    keys: Sequence[str],
    read: Callable[[DocumentReader, Table], ContentT],
    check: Callable[[ContentT], Iterable[Finding]],
    begin_with: str = POLICY_FILE_BEGIN,
) -> YamlDocument[ContentT]:
    """Read one document and check what it says.

    Args:
        text: The document; untrusted.
        keys: Keys of its top mapping.
        read: Builds the domain object from the top mapping, with placeholders for what it reports as unreadable.
        check: The domain's own rules.
        begin_with: How such a document begins, for the message about one that does not.

    Returns:
        The document, with the findings of the syntax, the reading and the check.
    """
    root = compose_document(text, begin_with)
    if isinstance(root, Finding):
        return YamlDocument(None, (root,), Places())
    reader = DocumentReader(FieldReader(), Places())
    table = reader.fields.root(root, keys)
    reader.places.put("", table.field)
    content = read(reader, table)
    reader.fields.add(reader.places.locate(check(content)))
    findings = reader.fields.findings()
    return YamlDocument(None if has_errors(findings) else content, findings, reader.places)
