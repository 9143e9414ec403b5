"""The two input tensors of a call, read strictly: what cannot be used is refused with the tensor's name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CONVERSATION = "conversation"
CANDIDATES = "candidates"

_STRINGS = ("id", "domain", "action", "description")

USER = "user"
ASSISTANT = "assistant"


class InvalidInputError(ValueError):
    """A tensor of the call does not hold what the contract says. The text never quotes a conversation."""

    def __init__(self, tensor: str, problem: str) -> None:
        """Name the tensor.

        Args:
            tensor: ``CONVERSATION`` or ``CANDIDATES``.
            problem: What is wrong and what is expected.
        """
        super().__init__(f"tensor '{tensor}': {problem}")


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        role: ``user`` or ``assistant``.
        content: Its text.
    """

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One route, as the policy author wrote it.

    Attributes:
        id: Never empty.
        domain: May be empty.
        action: Empty for a route that stands for its whole domain.
        description: May be empty.
        examples: Texts of users that it is for, never empty ones.
        not_examples: Texts of users that look as if it were for them, and that it is not for.
    """

    id: str
    domain: str
    action: str
    description: str
    examples: tuple[str, ...] = ()
    not_examples: tuple[str, ...] = ()


def parse_conversation(value: bytes) -> tuple[Message, ...]:
    """Read the tensor ``conversation``.

    Args:
        value: UTF-8 JSON, a list of objects with ``role`` and ``content``, oldest first.

    Returns:
        At least one message, at least one of them the user's.

    Raises:
        InvalidInputError: When it is anything else.
    """
    items = _parse_json(CONVERSATION, value, "it")
    if not isinstance(items, list):
        problem = 'it is not a JSON list of {"role", "content"} objects'
        raise InvalidInputError(CONVERSATION, problem)
    messages = tuple(_message(item, index) for index, item in enumerate(items))
    if not any(message.role == USER for message in messages):
        problem = f"none of its {len(messages)} messages has the role '{USER}'; at least one must"
        raise InvalidInputError(CONVERSATION, problem)
    return messages


def parse_candidate(value: bytes, index: int) -> Candidate:
    """Read one element of the tensor ``candidates``.

    Args:
        value: UTF-8 JSON object with the strings ``id``, ``domain``, ``action`` and ``description``, and where there
            are any with the lists of strings ``examples`` and ``not_examples``.
        index: Its position in the tensor, for the error text.

    Returns:
        The candidate.

    Raises:
        InvalidInputError: When it is anything else, or its id is empty.
    """
    item = _parse_json(CANDIDATES, value, f"element {index}")
    if not isinstance(item, dict) or not _are_strings(item, _STRINGS):
        problem = f"element {index} is not a JSON object with the strings {', '.join(_STRINGS)}"
        raise InvalidInputError(CANDIDATES, problem)
    if not item["id"]:
        problem = f"the id of element {index} is empty; every candidate needs one"
        raise InvalidInputError(CANDIDATES, problem)
    examples, not_examples = (_texts(item, name, index) for name in ("examples", "not_examples"))
    return Candidate(**{name: item[name] for name in _STRINGS}, examples=examples, not_examples=not_examples)


def _message(item: object, index: int) -> Message:
    if not isinstance(item, dict) or not _are_strings(item, ("role", "content")):
        problem = f"message {index} is not a JSON object with the strings role and content"
        raise InvalidInputError(CONVERSATION, problem)
    if item["role"] not in (USER, ASSISTANT):
        problem = f"the role of message {index} is not '{USER}' or '{ASSISTANT}'; leave other messages out"
        raise InvalidInputError(CONVERSATION, problem)
    return Message(item["role"], item["content"])


def _texts(item: Mapping[str, Any], name: str, index: int) -> tuple[str, ...]:  # Any: see below
    texts = item.get(name, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
        problem = f"{name} of element {index} is not a list of strings with something in each; leave it out, or mend it"
        raise InvalidInputError(CANDIDATES, problem)
    return tuple(texts)


def _are_strings(item: Mapping[str, Any], names: Sequence[str]) -> bool:  # Any: JSON whose types are being checked
    return all(isinstance(item.get(name), str) for name in names)


def _parse_json(tensor: str, value: bytes, what: str) -> object:
    try:
        parsed: object = json.loads(value.decode("utf-8"))
    except UnicodeDecodeError as error:
        problem = f"{what} is not UTF-8: byte {error.start} cannot be decoded"
        raise InvalidInputError(tensor, problem) from None
    except json.JSONDecodeError as error:
        problem = f"{what} is not JSON: {error.msg} at character {error.pos}"
        raise InvalidInputError(tensor, problem) from None
    except RecursionError:
        problem = f"{what} is JSON nested too deeply"
        raise InvalidInputError(tensor, problem) from None
    return parsed
