"""Which tokens of a conversation are read, and in which sequence.

One sequence holds all of it: the latest user message first, then the messages before it, newest first, each after a
word that says whose it is. An elliptical answer ("the second one") only means something beside its question.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compact_model.inputs import USER, Message
from compact_model.parameters import WindowLimits

Tokens = tuple[int, ...]

LATEST_TYPE = 0
EARLIER_TYPE = 1
"""Token types by which the encoder tells the latest message from those before it."""


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids of the tokens that mark a sequence's parts.

    Attributes:
        start: ``[CLS]``.
        end: ``[SEP]``.
        roles: Id of a word for each role.
    """

    start: int
    end: int
    roles: dict[str, int]


@dataclass(frozen=True, slots=True)
class Window:
    """What is read of a conversation.

    Attributes:
        latest: Tokens of the latest user message.
        earlier: Role and tokens of the messages before it that are read, newest first.
        token_count: Tokens read, special tokens and roles not counted.
        dropped_message_count: Messages of which no token is read.
        dropped_token_count: Tokens not read, of dropped and of shortened messages.
    """

    latest: Tokens
    earlier: tuple[tuple[str, Tokens], ...]
    token_count: int
    dropped_message_count: int
    dropped_token_count: int

    def sequence(self, special: SpecialTokens) -> tuple[Tokens, Tokens]:
        """Write the window as one sequence.

        Args:
            special: The marking tokens.

        Returns:
            Token ids and token types, of one length.
        """
        ids = [special.start, *self.latest, special.end]
        latest_count = len(ids)
        for role, tokens in self.earlier:
            ids += [special.roles[role], *tokens, special.end]
        return tuple(ids), (LATEST_TYPE,) * latest_count + (EARLIER_TYPE,) * (len(ids) - latest_count)


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
        The window; ``token_count + dropped_token_count`` is the whole conversation.
    """
    tokenized = [tokenize(message.content) for message in messages]
    position = max(index for index, message in enumerate(messages) if message.role == USER)
    latest = shorten(tokenized[position], limits.latest_token_limit)
    earlier = _earlier(messages[:position], tokenized[:position], limits)
    token_count = len(latest) + sum(len(tokens) for _, tokens in earlier)
    return Window(
        latest=latest,
        earlier=earlier,
        token_count=token_count,
        dropped_message_count=len(messages) - 1 - len(earlier),
        dropped_token_count=sum(map(len, tokenized)) - token_count,
    )


def _earlier(
    messages: Sequence[Message], tokenized: Sequence[Tokens], limits: WindowLimits
) -> tuple[tuple[str, Tokens], ...]:
    """Read earlier messages newest first, each shortened, until the next one does not fit any more."""
    earlier: list[tuple[str, Tokens]] = []
    room = limits.earlier_token_limit
    for message, tokens in zip(reversed(messages), reversed(tokenized), strict=True):
        kept = shorten(tokens, limits.older_message_token_limit if earlier else limits.previous_message_token_limit)
        if len(kept) > room or len(earlier) == limits.earlier_message_limit:
            break
        earlier.append((message.role, kept))
        room -= len(kept)
    return tuple(earlier)
