"""Policy files: strict YAML to a policy set, or to findings that say where and how to correct it.

Nothing is guessed. An unknown key, a value of another type, a word that YAML reads differently than it looks: each is
an error with line, column and the field path its author would write.
"""

from archrouter.adapters.policy_yaml_models import ModelCatalogue
from archrouter.adapters.policy_yaml_routes import RouteReader
from archrouter.adapters.yaml_document import DocumentReader, YamlDocument, read_document
from archrouter.adapters.yaml_fields import Table
from archrouter.domain.findings import Finding
from archrouter.domain.policy import PolicySet, check_policy_set

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
