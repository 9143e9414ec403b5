"""Conversations, and which of their messages the router reads.

A message *has text* when it holds more than white space. The router reads the user's and the assistant's messages that
have text; the latest user message among them decides the route. All others are treated as if they had not been sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

MESSAGE_CHARACTERS_PER_TOKEN = 32
"""Characters of one message in an excerpt for each token that the model reads in all. English prose has four to five
characters to a token, so a model finds as many tokens in either half of a cut message as it could read of the whole."""

EXCERPT_CHARACTERS_PER_TOKEN = 128
"""Characters after which an excerpt ends: a model that reads a share of each message may read several long ones."""

_CHARACTERS_PER_UNREAD_TOKEN = 4


class Role(Enum):
    """Who wrote a message."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


_READ_ROLES = frozenset({Role.USER, Role.ASSISTANT})


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: Who wrote it.
        content: Its text; untrusted, never interpreted.
    """

    role: Role
    content: str

    @property
    def has_text(self) -> bool:
        """Whether there is more in it than white space."""
        return bool(self.content.strip())


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is handed to a model that reads no message after the latest user message, and a share of each before it.

    Attributes:
        messages: The latest user message and those right before it, oldest first; long ones without their middle.
        dropped_message_count: Messages further back, left out because they are beyond what the model could read.
        dropped_token_count: Estimated tokens of these and of the middles left out.
    """

    messages: tuple[Message, ...]
    dropped_message_count: int = 0
    dropped_token_count: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """The part of a conversation that decides the route.

    Attributes:
        messages: User and assistant messages that have text, oldest first, at least one of them from the user.
        ignored_message_count: System and tool messages left out, as the reference integration does.
        ends_with_user: Whether the caller's last message is the one that decides.
    """

    messages: tuple[Message, ...]
    ignored_message_count: int
    ends_with_user: bool

    @classmethod
    def from_messages(cls, messages: tuple[Message, ...]) -> "Conversation":
        """Keep what the router reads.

        Args:
            messages: All messages, oldest first, at least one of them from the user and with text.

        Returns:
            The conversation without system and tool messages, and without messages that have no text.
        """
        of_read_roles = [message for message in messages if message.role in _READ_ROLES]
        return cls(
            messages=tuple(message for message in of_read_roles if message.has_text),
            ignored_message_count=len(messages) - len(of_read_roles),
            ends_with_user=messages[-1].role is Role.USER and messages[-1].has_text,
        )

    def excerpt(self, max_token_count: int) -> Excerpt:
        """Leave out what a model with a small window could not make use of, so that nobody has to read it.

        Args:
            max_token_count: Tokens that the model reads of a conversation, > 0.

        Returns:
            The latest user message and those before it, newest first until they have `EXCERPT_CHARACTERS_PER_TOKEN`
            characters for each token; of each message at most `MESSAGE_CHARACTERS_PER_TOKEN`. O(characters kept).
        """
        room = EXCERPT_CHARACTERS_PER_TOKEN * max_token_count
        dropped = latest_user_index(self.messages) + 1
        kept: list[Message] = []
        dropped_token_count = 0
        while dropped and room > 0:
            dropped -= 1
            message = self.messages[dropped]
            shortened = _shortened(message, MESSAGE_CHARACTERS_PER_TOKEN * max_token_count)
            dropped_token_count += estimated_token_count(len(message.content) - len(shortened.content))
            room -= len(shortened.content)
            kept.insert(0, shortened)
        dropped_token_count += sum(estimated_token_count(len(each.content)) for each in self.messages[:dropped])
        return Excerpt(tuple(kept), dropped, dropped_token_count)


def read_indices(messages: Sequence[Message], *, to_the_question: bool) -> tuple[int, ...]:
    """Find the messages that a model with room for all of them reads.

    Args:
        messages: All messages of the request, oldest first, at least one of them from the user and with text.
        to_the_question: Whether the model reads no further than the latest user message.

    Returns:
        Indices in `messages`, rising.
    """
    read = [index for index, one in enumerate(messages) if one.role in _READ_ROLES and one.has_text]
    last = max(index for index in read if messages[index].role is Role.USER) if to_the_question else len(messages)
    return tuple(index for index in read if index <= last)


def latest_user_index(messages: Sequence[Message]) -> int:
    """Find the message that decides the route: the user's latest of messages that have text, one of them the user's."""
    return max(index for index, message in enumerate(messages) if message.role is Role.USER)


def estimated_token_count(character_count: int) -> int:
    """Estimate the tokens of text not worth tokenising: one in four characters, at least 1 unless it is empty."""
    return -(-character_count // _CHARACTERS_PER_UNREAD_TOKEN)


def _shortened(message: Message, max_character_count: int) -> Message:
    """Keep the head and the tail: a request is stated first or last, seldom in the middle of pasted text."""
    if len(message.content) <= max_character_count:
        return message
    text = message.content.strip()
    if len(text) > max_character_count:
        half = max_character_count // 2
        text = f"{text[:half]} {text[-half:]}"
    return Message(message.role, text)
