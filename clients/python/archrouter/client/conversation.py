"""From OpenAI-style messages to a request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archrouter.v1 import Message, Role, RoutingOptions, SelectRouteRequest, TurnKind

_ROLES: Mapping[object, Role.ValueType] = {
    "user": Role.ROLE_USER,
    "assistant": Role.ROLE_ASSISTANT,
    "system": Role.ROLE_SYSTEM,
    "developer": Role.ROLE_SYSTEM,
    "tool": Role.ROLE_TOOL,
    "function": Role.ROLE_TOOL,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a conversation, as the server has them.

    Attributes:
        messages: ``limits.max_messages``, > 0.
        message_characters: ``limits.max_message_characters``, > 0.
    """

    messages: int = 256
    message_characters: int = 100_000


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the service reads of an OpenAI-style chat.

    Attributes:
        messages: Oldest first, within the limits.
        turn_kind: What made the caller ask: a user's new text, a tool's result, or nothing that can be read.
        skipped_parts: Content parts that are no text, e.g. images.
        cut_messages: Messages that lost their middle to the limits.
        dropped_messages: The oldest messages, lost to the limits.
    """

    messages: tuple[Message, ...]
    turn_kind: TurnKind.ValueType
    skipped_parts: int
    cut_messages: int
    dropped_messages: int

    def request(self, previous_route_id: str = "", *, route_ticket: str = "") -> SelectRouteRequest:
        """Ask about the conversation.

        Args:
            previous_route_id: Route of the conversation's decision before this one, which tool results and turns
                without text keep; empty: there is none.
            route_ticket: ``route_ticket`` of that decision, in place of its route; the server refuses both.

        Returns:
            A request, to be completed with a policy set where the server's default is not meant.
        """
        options = RoutingOptions(
            previous_route_id=previous_route_id, route_ticket=route_ticket, turn_kind=self.turn_kind
        )
        return SelectRouteRequest(messages=self.messages, options=options)


def parse_conversation(chat: object, limits: Limits | None = None) -> Conversation:
    """Read ``messages`` of an OpenAI-style chat request.

    The text of content parts is kept and other parts are counted; null content, e.g. beside tool calls, is empty text;
    ``developer`` counts as system and ``function`` as tool. A user's message without any text, e.g. an image, is left
    out, and such a turn keeps the previous route. A message that is too long loses its middle, a conversation that is
    too long its oldest messages, but never the latest text of the user. Lone surrogates become U+FFFD.

    Args:
        chat: The messages, as `json.loads` gives them.
        limits: Those of the server; None stands for its defaults.

    Returns:
        The conversation.

    Raises:
        ValueError: For an unknown role or something of another type; it names the field.
    """
    if isinstance(chat, str) or not isinstance(chat, Sequence):
        msg = "messages must be a list"
        raise ValueError(msg)  # noqa: TRY004  # one error for every fault of the document
    limits = limits or Limits()
    messages: list[Message] = []
    turn_kind = TurnKind.TURN_KIND_USER
    skipped_parts = cut_messages = 0
    for index, message in enumerate(chat):
        role, text, skipped = _read(message, f"messages[{index}]")
        skipped_parts += skipped
        unreadable = role == Role.ROLE_USER and skipped > 0 and not text.strip()
        turn_kind = _turn_kind(role, unreadable=unreadable)
        if not unreadable:
            content = _cut(text, limits.message_characters)
            cut_messages += content != text
            messages.append(Message(role=role, content=content))
    kept = _newest(messages, limits.messages)
    return Conversation(kept, turn_kind, skipped_parts, cut_messages, len(messages) - len(kept))


def _turn_kind(role: Role.ValueType, *, unreadable: bool) -> TurnKind.ValueType:
    if role == Role.ROLE_TOOL:
        return TurnKind.TURN_KIND_TOOL_RESULT
    # Where nothing new can be read, the server keeps the route as it does when a turn is tried again.
    return TurnKind.TURN_KIND_RETRY if unreadable else TurnKind.TURN_KIND_USER


def _read(message: object, field: str) -> tuple[Role.ValueType, str, int]:
    """Read role, text and the number of parts that are no text."""
    if not isinstance(message, Mapping):
        msg = f"{field} must be an object"
        raise ValueError(msg)  # noqa: TRY004  # same
    name, content = message.get("role"), message.get("content")
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        msg = f"{field}.role is {name!r}; it must be one of {', '.join(map(str, _ROLES))}"
        raise ValueError(msg)
    if content is None or isinstance(content, str):
        return role, _well_formed(content or ""), 0
    if not isinstance(content, Sequence):
        msg = f"{field}.content must be text, a list of parts or null"
        raise ValueError(msg)  # noqa: TRY004  # same
    texts = [
        part["text"]
        for part in content
        if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
    ]
    return role, _well_formed("\n".join(texts)), len(content) - len(texts)


def _well_formed(text: str) -> str:
    """Replace lone surrogates, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    tail = limit // 2
    return text[: limit - tail] + text[len(text) - tail :]


def _newest(messages: Sequence[Message], limit: int) -> tuple[Message, ...]:
    surplus = len(messages) - limit
    if surplus <= 0:
        return tuple(messages)
    asked = [i for i, message in enumerate(messages) if message.role == Role.ROLE_USER and message.content.strip()]
    if asked and asked[-1] < surplus:
        return (messages[asked[-1]], *messages[surplus + 1 :])
    return tuple(messages[surplus:])
