"""The `models` of a policy file: what they are declared as, and the lists of routes that name them."""

from collections.abc import Mapping
from dataclasses import dataclass

from archrouter.adapters.policy_yaml_parameters import canonical_parameters
from archrouter.adapters.yaml_document import DocumentReader
from archrouter.adapters.yaml_fields import Field, Table, listed, suggestion
from archrouter.adapters.yaml_reader import FieldReader
from archrouter.domain.findings import Severity, quoted
from archrouter.domain.policy import ModelTarget

_KEYS = ("model", "parameters")


@dataclass(frozen=True, slots=True)
class _Declaration:
    """A declared model: its logical name's key, the target, and where the target's name stands; None if unreadable."""

    key: Field
    target: ModelTarget
    model: Field | None


class ModelCatalogue:
    """The declared models of a file, by logical name, and which of them are in use."""

    def __init__(self, reader: DocumentReader, table: Table) -> None:
        """Read the declarations.

        Args:
            reader: Takes findings and places.
            table: The top of the file.
        """
        self._reader = reader
        self._used: set[str] = set()
        remedy = "declare every model a route may name, as in coder: {model: provider/model}"
        field = reader.fields.required(table, "models", remedy)
        entries = reader.fields.mapping(field) if field else None
        self._declarations: Mapping[str, _Declaration] | None = None
        if entries is not None:
            self._declarations = {name: _declaration(reader.fields, e.key, e.value) for name, e in entries.items()}

    def targets(self, table: Table, key: str, domain_path: str, remedy: str) -> tuple[ModelTarget, ...]:
        """Read a list of logical names.

        Args:
            table: The mapping that holds the list.
            key: Its key there.
            domain_path: Field of the domain object that takes the models.
            remedy: What to write when the list is missing, for the message.

        Returns:
            The declared targets, in the order of the list.
        """
        field = self._reader.fields.required(table, key, remedy)
        items = self._reader.fields.items(field) if field else None
        declarations = [self._named(item) for item in items or ()]
        known = [declaration for declaration in declarations if declaration is not None]
        self._reader.places.put(domain_path, field if items is not None and len(known) == len(items) else None)
        for index, declaration in enumerate(known):
            self._reader.places.put(f"{domain_path}[{index}].model", declaration.model)
        if len(known) != len({declaration.key.path for declaration in known}) and field:
            self._reader.fields.report(field, "names a model twice; keep its best place")
        return tuple(declaration.target for declaration in known)

    def report_unused(self) -> None:
        """Warn of every declared model that no list names."""
        for name, declaration in (self._declarations or {}).items():
            if name not in self._used:
                message = f"no route and no fallback uses {quoted(name)}; use it or remove it"
                self._reader.fields.report(declaration.key, message, Severity.WARNING)

    def _named(self, item: Field) -> _Declaration | None:
        name = self._reader.fields.text(item)
        if name is None or self._declarations is None:
            return None
        self._used.add(name)
        if name not in self._declarations:
            guess = suggestion(name, self._declarations)
            names = tuple(self._declarations)
            declared = f"declared are {listed(names)}" if names else "nothing is declared"
            question = f"; did you mean {quoted(guess)}?" if guess else ""
            self._reader.fields.report(item, f"{quoted(name)} is not declared under 'models'; {declared}{question}")
        return self._declarations.get(name)


def _declaration(fields: FieldReader, key: Field, value: Field) -> _Declaration:
    table = fields.table(value, _KEYS)
    if table is None:
        return _Declaration(key, ModelTarget(""), None)
    field = fields.required(table, "model", "name the model the caller should use, as in provider/model")
    name = fields.text(field) if field else None
    parameters = table.get("parameters")
    target = ModelTarget(name or "", canonical_parameters(fields, parameters) if parameters else "{}")
    return _Declaration(key, target, None if name is None else field)
