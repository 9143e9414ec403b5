"""Which tokens of a conversation are read, and what is left out.

Three views are made. The *latest* view is the latest user message alone. The *exchange* is the assistant message
right before it and the message itself in one sequence: an elliptical answer ("the second one") only means something
beside its question. The *history* is every earlier message on its own, weighted by its age.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compact_model.inputs import ASSISTANT, USER, Message
from compact_model.parameters import WindowLimits

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EarlierMessage:
    """A message before the latest user message.

    Attributes:
        role: ``user`` or ``assistant``.
        tokens: Its tokens that are read.
        age: User messages between it and the latest one, >= 0.
    """

    role: str
    tokens: Tokens
    age: int


@dataclass(frozen=True, slots=True)
class Window:
    """What is read of a conversation.

    Attributes:
        latest: Tokens of the latest user message.
        exchange: Tokens of the assistant message right before it and of the message; ``latest`` where there is none.
        history: Earlier messages, newest first.
        token_count: Tokens read, each message's counted once, special tokens not counted.
        dropped_message_count: Messages of which no token is read.
        dropped_token_count: Tokens not read, of dropped and of shortened messages.
    """

    latest: Tokens
    exchange: Tokens
    history: tuple[EarlierMessage, ...]
    token_count: int
    dropped_message_count: int
    dropped_token_count: int


def shorten(tokens: Tokens, limit: int) -> Tokens:
    """Keep the head and the tail: a request is stated first or last, seldom in the middle of pasted text.

    Args:
        tokens: Any number.
        limit: Tokens to keep, >= 1.

    Returns:
        ``tokens`` if they fit, otherwise their first half of the limit (the larger one) and the last.
    """
    if len(tokens) <= limit:
        return tokens
    tail_count = limit // 2
    return tokens[: limit - tail_count] + tokens[len(tokens) - tail_count :]


def read_window(messages: Sequence[Message], tokenize: Callable[[str], Tokens], limits: WindowLimits) -> Window:
    """Choose what is read.

    Args:
        messages: Oldest first, at least one of them the user's. Messages after the latest user message are not read.
        tokenize: Text to token ids without special tokens.
        limits: How much is read.

    Returns:
        The views and the counts; ``token_count + dropped_token_count`` is the whole conversation.
    """
    tokenized = [tokenize(message.content) for message in messages]
    position = max(index for index, message in enumerate(messages) if message.role == USER)
    latest = shorten(tokenized[position], limits.latest_token_limit)
    history = _history(messages[:position], tokenized[:position], limits)
    exchange = latest
    if history and history[0].role == ASSISTANT:
        room = limits.latest_token_limit - len(history[0].tokens)
        exchange = history[0].tokens + shorten(tokenized[position], room)
    token_count = len(latest) + sum(len(message.tokens) for message in history)
    return Window(
        latest=latest,
        exchange=exchange,
        history=history,
        token_count=token_count,
        dropped_message_count=len(messages) - 1 - len(history),
        dropped_token_count=sum(map(len, tokenized)) - token_count,
    )


def _history(
    messages: Sequence[Message], tokenized: Sequence[Tokens], limits: WindowLimits
) -> tuple[EarlierMessage, ...]:
    """Read earlier messages newest first, each shortened, until the next one does not fit any more."""
    history: list[EarlierMessage] = []
    room = limits.history_token_limit
    age = 0
    for message, tokens in zip(reversed(messages), reversed(tokenized), strict=True):
        kept = shorten(tokens, limits.earlier_message_token_limit)
        if len(kept) > room or len(history) == limits.history_message_limit:
            break
        history.append(EarlierMessage(message.role, kept, age))
        room -= len(kept)
        age += message.role == USER
    return tuple(history)
