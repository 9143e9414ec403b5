"""Suite files, ``<name>_test.yaml`` beside the policy file: strict YAML to a suite, or to findings.

::

    policy_set: support-assistant
    tests:
      - name: asks for repaired code
        messages:                       # oldest first; the last one is to be routed
          - user: my import job dies, what's wrong?
        expect: {route: programming_bug_fixing, outcome: MATCHED}     # `other` where no route should match
"""

from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import Outcome
from archrouter.domain.findings import Finding, quoted
from archrouter.domain.policy import NO_MATCH_ID
from archrouter.domain.suite import Suite, SuiteCase, check_suite
from archrouter.strict_yaml.document import DocumentReader, YamlDocument, read_document
from archrouter.strict_yaml.fields import Field, Table, listed

_KEYS = ("policy_set", "tests")
_CASE_KEYS = ("name", "messages", "expect")
_EXPECT_KEYS = ("route", "outcome")
_ROLES = tuple(role.value for role in Role)
_OUTCOMES = tuple(outcome.name for outcome in Outcome)


def load_suite(text: str) -> tuple[Suite | None, tuple[Finding, ...]]:
    """Read the text of a suite file.

    Args:
        text: The file; untrusted.

    Returns:
        The suite, None when a finding is an error; and the findings, in the order of the text.
    """
    document = read_suite_document(text)
    return document.content, document.findings


def read_suite_document(text: str) -> YamlDocument[Suite]:
    """Read the text of a suite file and keep where its fields stand.

    Args:
        text: The file; untrusted.

    Returns:
        The document; its places also locate what other checks find in the suite.
    """
    return read_document(text, _KEYS, _read_suite, check_suite)


def _read_suite(reader: DocumentReader, table: Table) -> Suite:
    remedy = "name the policy set that the tests are routed by"
    policy_set_id = reader.text(table, "policy_set", "policy_set_id", remedy)
    field = reader.fields.required(table, "tests", "list at least one test")
    items = reader.fields.items(field) if field else None
    reader.places.put("cases", None if items is None else field)
    tables = [reader.fields.table(item, _CASE_KEYS) for item in items or ()]
    readable = [case_table for case_table in tables if case_table is not None]
    if len(readable) != len(tables):
        reader.places.put("cases", None)
    cases = [_read_case(reader, case_table, f"cases[{index}]") for index, case_table in enumerate(readable)]
    return Suite(policy_set_id, tuple(cases))


def _read_case(reader: DocumentReader, table: Table, path: str) -> SuiteCase:
    reader.places.put(path, table.field)
    name = reader.text(table, "name", f"{path}.name", "say what the test is about")
    messages = _read_messages(reader, table, f"{path}.messages")
    route_id, outcome = _read_expectation(reader, table, path)
    return SuiteCase(name, messages, route_id, outcome)


def _read_messages(reader: DocumentReader, table: Table, domain_path: str) -> tuple[Message, ...]:
    field = reader.fields.required(table, "messages", "list the conversation, oldest first, as in - user: some text")
    items = reader.fields.items(field) if field else None
    messages = [_read_message(reader, item) for item in items or ()]
    readable = tuple(message for message in messages if message is not None)
    reader.places.put(domain_path, field if items is not None and len(readable) == len(items) else None)
    return readable


def _read_message(reader: DocumentReader, item: Field) -> Message | None:
    table = reader.fields.table(item, _ROLES)
    if table is None or not table.is_known:
        return None
    if len(table.entries) != 1:
        message = f"has {len(table.entries)} roles; write one message per item, as in - user: some text"
        reader.fields.report(item, message)
        return None
    ((role, entry),) = table.entries.items()
    text = reader.fields.text(entry.value)
    return None if text is None else Message(Role(role), text)


def _read_expectation(reader: DocumentReader, case_table: Table, path: str) -> tuple[str, Outcome | None]:
    route_path, outcome_path = f"{path}.expected_route_id", f"{path}.expected_outcome"
    field = reader.fields.required(case_table, "expect", "say what should happen, as in {route: some_route}")
    table = reader.fields.table(field, _EXPECT_KEYS) if field else None
    if table is None:
        return "", None
    route, route_id = _read_route(reader, table)
    reader.places.put(route_path, route)
    outcome_field = table.get("outcome")
    outcome = _read_outcome(reader, outcome_field) if outcome_field else None
    reader.places.put(outcome_path, outcome_field if route and outcome else None)
    return route_id, outcome


def _read_route(reader: DocumentReader, table: Table) -> tuple[Field | None, str]:
    """Read the expected route: its field, None when unreadable, and its id, empty for no match."""
    remedy = f"name the expected route, or {NO_MATCH_ID!r} where none should match"
    field = reader.fields.required(table, "route", remedy)
    text = reader.fields.text(field) if field else None
    if field and text is not None and not text.strip():
        reader.fields.report(field, f"is empty; {remedy}")
        return None, ""
    return (None if text is None else field), ("" if text is None or text == NO_MATCH_ID else text)


def _read_outcome(reader: DocumentReader, field: Field) -> Outcome | None:
    name = reader.fields.text(field)
    if name is None or name in _OUTCOMES:
        return None if name is None else Outcome[name]
    reader.fields.report(field, f"{quoted(name)} is no outcome; the outcomes are {listed(_OUTCOMES)}")
    return None
