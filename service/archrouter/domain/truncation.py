"""Which part of a conversation fits the model, counted in the tokens it will be given.

The reference gateway estimates four bytes a token, which is wrong both ways: it overflows the model on digits and code
and drops history that would fit on Chinese text (katanemo/archgw, ``router_model_v1.rs``). Here only text so far beyond
the budget that tokenising it could change nothing is counted by an estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from archrouter.domain.conversation import Message, estimated_token_count, latest_user_index
from archrouter.domain.tokens import TokenIds

ELISION_MARKER = " [...] "
"""Stands for the middle of a message that is too long by itself. ASCII, so it costs the same in every dialect."""

HEAD_SHARE = 0.6
"""Share of the kept characters taken from the message's beginning; successors of the reference gateway cut 60/40."""

MAX_INTERPOLATIONS = 4
MAX_BISECTIONS = 8
"""Tokenisations spent on one elided message, at most: interpolating is exact where tokens are evenly dense, bisecting
gets close where they are not."""

ELISION_SLACK_SHARE = 0.01
"""Share of the budget that an elided message may leave unused: closer is not worth another tokenisation."""

CHARACTERS_PER_TOKEN = 6
"""Characters of a long message that are tokenised first for each token in question. Few texts have so many to a token,
so most often these show that the message does not fit; where they do not, more is tokenised."""

COUNTED_TOKENS = 4096
"""Tokens beyond the budget that are still counted one by one, in some ten milliseconds; further ones are estimated."""

_CUT_WORD_SLACK = 16
"""Tokens by which the beginning of a message may exceed the whole, because a word is cut in two."""


class EncodeMessage(Protocol):
    """Tokenises one message of a conversation."""

    def __call__(self, message: Message, *, last: bool) -> TokenIds:
        """Return the message's ids, separator or, for the last message, the end of the section included."""
        ...


@dataclass(frozen=True, slots=True)
class FittedConversation:
    """The part of a conversation that the model reads.

    Attributes:
        ids: Its tokens, at most the budget.
        dropped_message_count: Messages left out as a whole.
        dropped_token_count: Tokens of the whole conversation less the tokens kept, >= 0. Exact up to
            `COUNTED_TOKENS`; what is beyond them is estimated.
    """

    ids: TokenIds
    dropped_message_count: int = 0
    dropped_token_count: int = 0


def split_newest(
    messages: Sequence[Message], max_message_count: int | None
) -> tuple[Sequence[Message], Sequence[Message]]:
    """Separate the messages that weights were trained to read from the older ones.

    Args:
        messages: Oldest first, at least one of them from the user.
        max_message_count: How many they read, >= 2; None for all.

    Returns:
        The older ones and the newest; the latest user message is among these in any case.
    """
    start = max(len(messages) - max_message_count, 0) if max_message_count else 0
    latest = latest_user_index(messages)
    if latest >= start:
        return messages[:start], messages[start:]
    older = [message for index, message in enumerate(messages[: start + 1]) if index != latest]
    return older, (messages[latest], *messages[start + 1 :])


def fit_conversation(messages: Sequence[Message], encode: EncodeMessage, max_token_count: int) -> FittedConversation:
    """Drop what does not fit: whole messages, oldest first, and never the latest user message.

    The latest user message decides the route, so it goes last of all, after answers that follow it; where it is too
    long by itself, its beginning and end are kept around `ELISION_MARKER`. It is tokenised first, then the others,
    newest first.

    Args:
        messages: Oldest first, at least one of them from the user.
        encode: Tokenises one message.
        max_token_count: Tokens there is room for; at least those of a message that holds the marker only.

    Returns:
        The part that fits. What is tokenised is bounded by `CHARACTERS_PER_TOKEN` for each token of the budget and of
        `COUNTED_TOKENS`, except where text has more of them to a token. Each message is tokenised once, but the latest
        user message again when it becomes the last, and when it is elided as often as `_elided` says.
    """
    last = len(messages) - 1
    latest = latest_user_index(messages)
    limit = max_token_count + COUNTED_TOKENS
    latest_ids, latest_unread = _read(messages[latest], encode, limit, last=latest == last)
    counted, estimated = len(latest_ids), latest_unread
    kept = {latest: latest_ids}
    for index in reversed(range(len(messages))):
        if index == latest:
            continue
        ids, unread = _read(messages[index], encode, limit - counted, last=index == last)
        counted += len(ids)
        estimated += unread
        if counted <= max_token_count and not unread:  # never again after a message that does not fit
            kept[index] = ids
    if len(kept) == len(messages) and counted <= max_token_count:
        return FittedConversation(_joined(kept))
    if len(kept) == 1:
        if latest != last:
            latest_ids, latest_unread = _read(messages[latest], encode, limit, last=True)
        if len(latest_ids) > max_token_count:
            latest_ids = _elided(messages[latest], encode, len(latest_ids) + latest_unread, max_token_count)
        kept[latest] = latest_ids
    ids = _joined(kept)
    return FittedConversation(ids, len(messages) - len(kept), max(counted + estimated - len(ids), 0))


def _joined(kept: dict[int, TokenIds]) -> TokenIds:
    return tuple(chain.from_iterable(kept[index] for index in sorted(kept)))


def _read(message: Message, encode: EncodeMessage, room: int, *, last: bool) -> tuple[TokenIds, int]:
    """Tokenise a message, or so much of its beginning that it is seen not to fit; and estimate the tokens of the rest.

    The rest is 0 for a message that fits; where it is not, there are more ids than room.
    """
    content = message.content
    if room <= 0:
        return (), estimated_token_count(len(content))
    length = CHARACTERS_PER_TOKEN * (room + _CUT_WORD_SLACK)
    while length < len(content):
        ids = encode(Message(message.role, content[:length]), last=last)
        if len(ids) > room + _CUT_WORD_SLACK:
            return ids, estimated_token_count(len(content) - length)
        length *= 2
    return encode(message, last=last), 0


def _elided(message: Message, encode: EncodeMessage, token_count: int, max_token_count: int) -> TokenIds:
    """Keep about as many characters as fit: `low` fits and `high` does not, both as measured."""
    low, ids = 0, encode(_elide(message, 0), last=True)
    high, high_count = len(message.content), token_count
    first = CHARACTERS_PER_TOKEN * max_token_count
    while first < high and high == len(message.content):
        first_ids = encode(_elide(message, first), last=True)
        if len(first_ids) > max_token_count:
            high, high_count = first, len(first_ids)
        else:
            low, ids, first = first, first_ids, 2 * first
    slack = int(max_token_count * ELISION_SLACK_SHARE)
    for attempt in range(MAX_INTERPOLATIONS + MAX_BISECTIONS):
        if len(ids) + slack >= max_token_count or high - low <= 1:
            break
        step = (high - low) // 2
        if attempt < MAX_INTERPOLATIONS:
            aim = max_token_count - slack // 2
            step = (high - low) * (aim - len(ids)) // (high_count - len(ids))
        guess = min(max(low + step, low + 1), high - 1)
        guess_ids = encode(_elide(message, guess), last=True)
        if len(guess_ids) <= max_token_count:
            low, ids = guess, guess_ids
        else:
            high, high_count = guess, len(guess_ids)
    return ids


def _elide(message: Message, kept_characters: int) -> Message:
    head = round(kept_characters * HEAD_SHARE)
    tail_start = len(message.content) - (kept_characters - head)
    return Message(message.role, message.content[:head] + ELISION_MARKER + message.content[tail_start:])
