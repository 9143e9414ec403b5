"""Which tokens of a conversation are read, and in which sequence.

One sequence holds all of it: the latest user message first, then the messages before it, newest first, each after a
word that says whose it is. An elliptical answer ("the second one") only means something beside its question.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compact_model.inputs import USER, Message
from compact_model.parameters import WindowLimits

Tokens = tuple[int, ...]

TextTokens = tuple[Tokens, Tokens]
"""Token ids of a text, special ones as well, and as many token types."""

LATEST_TYPE = 0
EARLIER_TYPE = 1
"""Token types by which the encoder tells the latest message from those before it."""

CHARACTERS_PER_TOKEN = 16
"""Characters of a message that are split for each token that may be read of it. Prose has four or five to a token, so
splitting all of a longer message would give the same tokens, only later."""

LONGEST_WORD = 100
"""Characters; a longer word is one unknown token to the tokenizer, however it is cut."""

_CUT_AT_END = re.compile(r"\s\S*\Z")
_CUT_AT_START = re.compile(rf"\S{{0,{LONGEST_WORD}}}\s")


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids of the tokens that mark a sequence's parts.

    Attributes:
        start: What every sequence starts with: its beginning, and what the encoder learned to find before a text.
        end: End of a part.
        roles: A word for each role.
    """

    start: Tokens
    end: int
    roles: dict[str, Tokens]


@dataclass(frozen=True, slots=True)
class Window:
    """What is read of a conversation.

    Attributes:
        latest: Tokens of the latest user message.
        earlier: Role and tokens of the messages before it that are read, newest first.
        token_count: Tokens read, special tokens and roles not counted.
        dropped_message_count: Messages before the latest user message for which no room was left.
        dropped_token_count: Tokens not read of these and of shortened messages. Text that was not even split is counted
            by ``estimated_token_count``.
    """

    latest: Tokens
    earlier: tuple[tuple[str, Tokens], ...]
    token_count: int
    dropped_message_count: int
    dropped_token_count: int

    def sequence(self, special: SpecialTokens) -> TextTokens:
        """Write the window as one sequence.

        Args:
            special: The marking tokens.

        Returns:
            Token ids and token types, of one length.
        """
        ids = [*special.start, *self.latest, special.end]
        latest_count = len(ids)
        for role, tokens in self.earlier:
            ids += [*special.roles[role], *tokens, special.end]
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


def excerpt(text: str, token_limit: int) -> tuple[str, int]:
    """Leave out the middle of a message that is far longer than what can be read of it.

    Args:
        text: A message.
        token_limit: Tokens that ``shorten`` keeps of it, >= 1.

    Returns:
        All of it if it has at most ``CHARACTERS_PER_TOKEN`` characters for each token, white space around it not
        counted; otherwise whole words of about half as many characters from either end. And an estimate of the tokens
        left out.
    """
    half = CHARACTERS_PER_TOKEN * token_limit // 2
    if len(text) > 2 * half:
        text = text.strip()
    if len(text) <= 2 * half:
        return text, 0
    head, tail = text[:half], text[-half:]
    if cut_word := _CUT_AT_END.search(head, half - LONGEST_WORD):
        head = head[: cut_word.start()]
    if cut_word := _CUT_AT_START.match(tail):
        tail = tail[cut_word.end() :]
    return f"{head} {tail}", estimated_token_count(text[len(head) : len(text) - len(tail)])


def estimated_token_count(text: str) -> int:
    """Estimate tokens without splitting the text, as English has them: one in four characters.

    Args:
        text: Any text.

    Returns:
        0 for white space only, otherwise at least 1.
    """
    return -(-len(text.strip()) // 4)


def read_window(messages: Sequence[Message], tokenize: Callable[[str], Tokens], limits: WindowLimits) -> Window:
    """Choose what is read, and split no more text than that takes.

    Args:
        messages: Oldest first, at least one of them the user's. Messages after the latest user message are not read.
        tokenize: Text to token ids without special tokens; called for the excerpts of messages, the latest first,
            until the window is full.
        limits: How much is read.

    Returns:
        The window.
    """
    position = max(index for index, message in enumerate(messages) if message.role == USER)
    latest, dropped = _read(messages[position], limits.latest_token_limit, tokenize)
    earlier: list[tuple[str, Tokens]] = []
    room = limits.earlier_token_limit
    unread = list(messages[:position])
    while unread and len(earlier) < limits.earlier_message_limit:
        limit = limits.older_message_token_limit if earlier else limits.previous_message_token_limit
        tokens, left_out = _read(unread[-1], limit, tokenize)
        if len(tokens) > room:
            break
        earlier.append((unread.pop().role, tokens))
        room -= len(tokens)
        dropped += left_out
    return Window(
        latest=latest,
        earlier=tuple(earlier),
        token_count=len(latest) + limits.earlier_token_limit - room,
        dropped_message_count=len(unread),
        dropped_token_count=dropped + sum(estimated_token_count(message.content) for message in unread),
    )


def _read(message: Message, token_limit: int, tokenize: Callable[[str], Tokens]) -> tuple[Tokens, int]:
    """Give the tokens read of a message, and how many are not."""
    text, left_out = excerpt(message.content, token_limit)
    tokens = tokenize(text)
    kept = shorten(tokens, token_limit)
    return kept, len(tokens) - len(kept) + left_out
