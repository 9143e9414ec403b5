"""Conversations, and which of their messages the router reads."""

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """Who wrote a message."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


_ROUTABLE_ROLES = frozenset({Role.USER, Role.ASSISTANT})


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: Who wrote it.
        content: Its text; untrusted, never interpreted.
    """

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The part of a conversation that decides the route.

    Attributes:
        messages: User and assistant messages, oldest first, at least one of them from the user.
        ignored_message_count: System and tool messages left out, as the reference integration does.
        ends_with_user: Whether the caller's last message came from the user.
    """

    messages: tuple[Message, ...]
    ignored_message_count: int
    ends_with_user: bool

    @classmethod
    def from_messages(cls, messages: tuple[Message, ...]) -> "Conversation":
        """Keep what the router reads.

        Args:
            messages: All messages, oldest first, at least one of them from the user.

        Returns:
            The conversation without system and tool messages.
        """
        routable = tuple(message for message in messages if message.role in _ROUTABLE_ROLES)
        return cls(
            messages=routable,
            ignored_message_count=len(messages) - len(routable),
            ends_with_user=bool(messages) and messages[-1].role is Role.USER,
        )
