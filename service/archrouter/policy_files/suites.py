"""Suite files, ``<name>_test.yaml`` beside the policy file: strict YAML to a suite, or to findings.

::

    policy_set: support-assistant
    tests:
      - name: asks for repaired code
        messages:                       # oldest first; the last one is to be routed
          - user: my import job dies, what's wrong?
        expect: {route: programming_bug_fixing, outcome: MATCHED}     # `other` where no route should match
"""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import Outcome
from archrouter.domain.findings import quoted
from archrouter.domain.policy import NO_MATCH_ID
from archrouter.domain.suite import Suite, SuiteCase, check_suite
from archrouter.strict_yaml.document import Reading, Table, Text, YamlDocument, read_document
from archrouter.strict_yaml.values import UnreadableError, Value, as_text, listed

_BEGIN = "'policy_set:' and a name"
_OUTCOMES = tuple(outcome.name for outcome in Outcome)
_ROUTE_REMEDY = f"name the expected route, or {NO_MATCH_ID!r} where none should match"


def _as_route(text: str) -> str:
    if not text.strip():
        msg = f"is empty; {_ROUTE_REMEDY}"
        raise UnreadableError(msg)
    return text


def _as_outcome(value: Value) -> Outcome:
    name = as_text(value)
    if name not in _OUTCOMES:
        msg = f"{quoted(name)} is no outcome; the outcomes are {listed(_OUTCOMES)}"
        raise UnreadableError(msg)
    return Outcome[name]


class _Message(Table):
    user: Text = ""
    assistant: Text = ""
    system: Text = ""
    tool: Text = ""


class _Expectation(Table):
    route: Annotated[Text, AfterValidator(_as_route), Field(description=_ROUTE_REMEDY)] = ""
    outcome: Annotated[Outcome | None, BeforeValidator(_as_outcome)] = None


class _Case(Table):
    name: Annotated[Text, Field(description="say what the test is about")] = ""
    messages: Annotated[
        tuple[_Message, ...], Field(description="list the conversation, oldest first, as in - user: some text")
    ] = ()
    expect: Annotated[_Expectation | None, Field(description="say what should happen, as in {route: some_route}")] = (
        None
    )


class _SuiteFile(Table):
    policy_set: Annotated[Text, Field(description="name the policy set that the tests are routed by")] = ""
    tests: Annotated[tuple[_Case, ...], Field(description="list at least one test")] = ()


def read_suite_document(text: str) -> YamlDocument[Suite]:
    """Read the text of a suite file; the document's places also locate what other checks find in the suite."""
    return read_document(text, _SuiteFile, _build, check_suite, _BEGIN)


def _build(file: _SuiteFile, reading: Reading) -> Suite:
    reading.put("policy_set_id", file.at("policy_set"))
    reading.put("cases", file.at("tests"))
    cases = (_case(case, f"cases[{index}]", reading) for index, case in enumerate(file.tests))
    return Suite(file.policy_set, tuple(cases))


def _case(case: _Case, path: str, reading: Reading) -> SuiteCase:
    messages = [message for item in case.messages if (message := _message(item, reading))]
    reading.put(path, case.place)
    reading.put(f"{path}.name", case.at("name"))
    reading.put(f"{path}.messages", case.at("messages") if len(messages) == len(case.messages) else None)
    route, outcome = "", None
    if case.expect:
        route, outcome = case.expect.route, case.expect.outcome
        reading.put(f"{path}.expected_route_id", case.expect.at("route"))
        reading.put(f"{path}.expected_outcome", case.expect.at("outcome") if case.expect.at("route") else None)
    return SuiteCase(case.name, tuple(messages), "" if route == NO_MATCH_ID else route, outcome)


def _message(message: _Message, reading: Reading) -> Message | None:
    """Return a message that can be read."""
    roles = message.given()
    if any(role not in type(message).model_fields for role in roles):
        return None
    if len(roles) != 1:
        reading.report(message.place, f"has {len(roles)} roles; write one message per item, as in - user: some text")
        return None
    return Message(Role(roles[0]), getattr(message, roles[0])) if message.at(roles[0]) else None
