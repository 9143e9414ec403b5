"""Policy files: strict YAML to a policy set, or to findings that say where and how to correct it.

Nothing is guessed. An unknown key, a value of another type, a word that YAML reads differently than it looks: each is
an error with line, column and the field path its author would write.
"""

from dataclasses import dataclass

from archrouter.domain.findings import Finding, quoted
from archrouter.domain.policy import PolicySet, RoutePolicy, check_policy_set, derive_route_id
from archrouter.policy_files.models import ModelCatalogue
from archrouter.strict_yaml.document import DocumentReader, YamlDocument, read_document
from archrouter.strict_yaml.fields import Field, Table

_KEYS = ("policy_set", "description", "min_confidence", "fallback", "models", "domains", "routes")


def load_policy_set(text: str) -> tuple[PolicySet | None, tuple[Finding, ...]]:
    """Read the text of a policy file.

    Args:
        text: The file; untrusted.

    Returns:
        The set, None when a finding is an error; and the findings, in the order of the text.
    """
    document = read_policy_document(text)
    return document.content, document.findings


def read_policy_document(text: str) -> YamlDocument[PolicySet]:
    """Read the text of a policy file and keep where its fields stand.

    Args:
        text: The file; untrusted.

    Returns:
        The document; its places also locate what other checks find in the set.
    """
    return read_document(text, _KEYS, _read_policy_set, check_policy_set)


def _read_policy_set(reader: DocumentReader, table: Table) -> PolicySet:
    models = ModelCatalogue(reader, table)
    policy_set = PolicySet(
        id=reader.text(table, "policy_set", "policy_set", "name the set with 1-64 of the characters a-z, 0-9 and '-'"),
        description=reader.optional_text(table, "description", "description").strip(),
        routes=RouteReader(reader, models).read(table),
        fallback_models=models.targets(
            table, "fallback", "fallback", "list at least one model for requests that no policy matches"
        ),
        min_confidence=reader.optional_number(table, "min_confidence", "min_confidence"),
    )
    if reader.fields.is_clean:
        models.report_unused()
    return policy_set


_OWN_KEYS = ("id", "description", "models", "min_confidence")
_DOMAIN_KEYS = ("domain", *_OWN_KEYS, "actions")
_ACTION_KEYS = ("action", *_OWN_KEYS)
_ROUTE_KEYS = (*_OWN_KEYS, "domain", "action")


@dataclass(frozen=True, slots=True)
class _Name:
    """A domain or an action, and where it stands; without a field it is absent or unreadable."""

    text: str = ""
    field: Field | None = None


class RouteReader:
    """Reads policies in the order of the file; a domain-level policy comes before the actions of its domain."""

    def __init__(self, reader: DocumentReader, models: ModelCatalogue) -> None:
        """Read nothing yet.

        Args:
            reader: Takes findings and places.
            models: What the policies may name.
        """
        self._reader = reader
        self._fields = reader.fields
        self._models = models
        self._domains: dict[str, Field] = {}
        self._routes: list[RoutePolicy] = []

    def read(self, table: Table) -> tuple[RoutePolicy, ...]:
        """Read all policies.

        Args:
            table: The top of the file.

        Returns:
            The policies, with placeholders for what could not be read.
        """
        domains, routes = table.get("domains"), table.get("routes")
        if domains and routes:
            self._fields.report(table.entries["routes"].key, "stands beside 'domains'; keep one of the two forms")
        elif not table.mentions(["domains", "routes"]):
            self._fields.report(table.field, "has neither 'domains' nor 'routes'; list the policies under one of them")
        form = domains or routes
        items = self._fields.items(form) if form else None
        for item in items or ():
            item_table = self._fields.table(item, _DOMAIN_KEYS if domains else _ROUTE_KEYS)
            if item_table and domains:
                self._read_domain(item_table)
            elif item_table:
                self._read_route(item_table)
        is_readable = items is not None and bool(self._routes or not items)
        self._reader.places.put("routes", form if is_readable else None)
        return tuple(self._routes)

    def _read_domain(self, table: Table) -> None:
        domain = self._name(table, "domain", "name the subject area, e.g. programming")
        if domain.field:
            first = self._domains.setdefault(domain.text, domain.field)
            if first is not domain.field:
                message = f"{quoted(domain.text)} is already a domain in line {first.line}; list its actions there"
                self._fields.report(domain.field, message)
        if table.mentions(_OWN_KEYS):
            self._add(table, domain, _Name(), (domain,))
        elif not table.mentions(["actions"]):
            self._fields.report(table.field, "has neither actions nor a description with models; add one of the two")
        actions = table.get("actions")
        items = self._fields.items(actions) if actions else None
        if actions and items == ():
            self._fields.report(actions, "is empty; list the domain's actions, or remove the key")
        for item in items or ():
            action_table = self._fields.table(item, _ACTION_KEYS)
            if action_table:
                action = self._name(action_table, "action", "name the operation asked for, e.g. bug_fixing")
                self._add(action_table, domain, action, (domain, action))

    def _read_route(self, table: Table) -> None:
        domain = self._name(table, "domain") if table.get("domain") else _Name()
        action = self._name(table, "action") if table.get("action") else _Name()
        self._add(table, domain, action, ())

    def _name(self, table: Table, key: str, remedy: str = "") -> _Name:
        field = self._fields.required(table, key, remedy)
        text = self._fields.text(field) if field else None
        if field is None or text is None:
            return _Name()
        if not text.strip():
            self._fields.report(field, "is empty; write a word")
            return _Name()
        return _Name(text, field)

    def _add(self, table: Table, domain: _Name, action: _Name, named_after: tuple[_Name, ...]) -> None:
        path = f"routes[{len(self._routes)}]"
        self._reader.places.put(path, table.field)
        for part, name in (("domain", domain), ("action", action)):
            if name.field:
                self._reader.places.put(f"{path}.{part}", name.field)
        description = self._reader.text(table, "description", f"{path}.description", "say when this route is meant")
        self._routes.append(
            RoutePolicy(
                id=self._id(table, f"{path}.id", named_after),
                domain=domain.text,
                action=action.text,
                description=description.strip(),
                models=self._models.targets(table, "models", f"{path}.models", "list the models to use, best first"),
                min_confidence=self._reader.optional_number(table, "min_confidence", f"{path}.min_confidence"),
            )
        )

    def _id(self, table: Table, domain_path: str, named_after: tuple[_Name, ...]) -> str:
        if table.mentions(["id"]) or not named_after:
            return self._reader.text(table, "id", domain_path, "write what the model answers to choose this route")
        is_readable = all(name.field for name in named_after)
        self._reader.places.put(domain_path, named_after[-1].field if is_readable else None)
        return derive_route_id(named_after[0].text, named_after[-1].text if len(named_after) > 1 else "")
