"""Conversations from the files that people have: labelled records, policy suites, requests in OpenAI's form."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from archrouter import v1
from archrouter.client import parse_conversation
from archrouter.domain.conversation import Message, Role
from archrouter.domain.policy import NO_MATCH_ID
from archrouter.policy_files.directory import suite_files
from archrouter.strict_json import Fields, InvalidDataError, parse_json
from archrouter.workbench.policies import WorkbenchError, read_suite

_YAML_SUFFIXES = frozenset({".yaml", ".yml"})
_ROLES = {
    v1.Role.ROLE_USER: Role.USER,
    v1.Role.ROLE_ASSISTANT: Role.ASSISTANT,
    v1.Role.ROLE_SYSTEM: Role.SYSTEM,
    v1.Role.ROLE_TOOL: Role.TOOL,
}
PairT = TypeVar("PairT")


@dataclass(frozen=True, slots=True)
class Turn:
    """A conversation up to one message that is to be routed.

    Attributes:
        id: What people find it by: file, line or name, and the turn.
        policy_set_id: The set it was made for; empty where its file does not say.
        messages: Oldest first, nothing after the message to be routed.
        expected: Id of the right route, ``other`` for none; None where it is not labelled.
    """

    id: str
    policy_set_id: str
    messages: tuple[Message, ...]
    expected: str | None = None


def read_turns(path: Path) -> tuple[Turn, ...]:
    """Read a file, or every ``*.jsonl`` and every policy suite of a folder.

    A line with ``labels`` is a labelled record, of which each labelled turn counts; any other is a request in the form
    of OpenAI's chat completions, or its list of messages.

    Args:
        path: A file or a folder; it exists.

    Returns:
        The turns, at least one.

    Raises:
        WorkbenchError: For the first thing that is wrong.
    """
    files = sorted((*path.glob("*.jsonl"), *suite_files(path))) if path.is_dir() else [path]
    turns = tuple(turn for file in files for turn in (_suite if file.suffix in _YAML_SUFFIXES else _lines)(file))
    if not turns:
        msg = f"{path}: holds no conversation; name records or requests (*.jsonl), or policy suites (*_test.yaml)"
        raise WorkbenchError(msg)
    return turns


def set_of(policy_set_id: str, sets: Mapping[str, PairT]) -> PairT | None:
    """Find the set that routes a turn: the one it names, and the only one for a turn that names none."""
    if policy_set_id:
        return sets.get(policy_set_id)
    return next(iter(sets.values())) if len(sets) == 1 else None


def _suite(file: Path) -> Iterator[Turn]:
    suite = read_suite(file)
    for case in suite.cases:
        expected = case.expected_route_id or NO_MATCH_ID
        yield Turn(f"{file.name}: {case.name}", suite.policy_set_id, case.messages, expected)


def _lines(file: Path) -> Iterator[Turn]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{file}: cannot be read as UTF-8 text: {error}"
        raise WorkbenchError(msg) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield from _line(parse_json(line), f"{file.name}:{number}")
        except (InvalidDataError, ValueError) as error:
            msg = f"{file}:{number}: {error}"
            raise WorkbenchError(msg) from error


def _line(value: object, place: str) -> Iterator[Turn]:
    if isinstance(value, dict) and "labels" in value:
        yield from _record(Fields(value))
        return
    if isinstance(value, dict) and "messages" not in value:
        raise InvalidDataError(path="messages", problem="is missing; write a request or a labelled record")
    messages = parse_conversation(value["messages"] if isinstance(value, dict) else value).messages
    yield Turn(place, "", tuple(Message(_ROLES[one.role], one.content) for one in messages))


def _record(fields: Fields) -> Iterator[Turn]:
    roles = [role.value for role in Role]
    messages = tuple(
        Message(Role(message.choice("role", roles)), message.optional_text("content"))
        for message in fields.objects("messages")
    )
    for label in fields.objects("labels"):
        turn = label.integer("turn")
        if not 0 <= turn < len(messages):
            raise InvalidDataError(path=f"{label.path}.turn", problem=f"{turn} is none of {len(messages)} messages")
        name = f"{fields.text('id')} turn {turn}"
        yield Turn(name, fields.text("policy_set"), messages[: turn + 1], label.text("route"))
