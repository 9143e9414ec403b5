"""Which part of a conversation fits the model, counted in the tokens it will be given, never estimated.

The reference gateway estimates four bytes a token, which is wrong both ways: it overflows the model on digits and code
and drops history that would fit on Chinese text (katanemo/archgw, ``router_model_v1.rs``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from archrouter.domain.conversation import Message, Role
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
        dropped_token_count: Tokens of the whole conversation less the tokens kept, >= 0.
    """

    ids: TokenIds
    dropped_message_count: int = 0
    dropped_token_count: int = 0


@dataclass(frozen=True, slots=True)
class TokenisedConversation:
    """A conversation, every message tokenised at its place.

    Attributes:
        messages: Oldest first, at least one of them from the user.
        ids: Tokens of each message; concatenated, the tokens of the whole.
        encode: What tokenised them.
    """

    messages: Sequence[Message]
    ids: Sequence[TokenIds]
    encode: EncodeMessage

    @classmethod
    def of(cls, messages: Sequence[Message], encode: EncodeMessage) -> "TokenisedConversation":
        """Tokenise each message once.

        Args:
            messages: Oldest first, at least one of them from the user.
            encode: Tokenises one message.

        Returns:
            The tokens. O(characters).
        """
        last = len(messages) - 1
        return cls(messages, [encode(message, last=i == last) for i, message in enumerate(messages)], encode)

    @property
    def token_count(self) -> int:
        """Tokens of the whole conversation."""
        return sum(map(len, self.ids))

    def recent(self, max_message_count: int) -> "TokenisedConversation":
        """Keep the newest messages, the latest user message among them in any case.

        Args:
            max_message_count: Messages to keep at most, >= 2.

        Returns:
            The rest of the conversation; nothing is tokenised again, because the last message stays the last.
        """
        start = max(len(self.messages) - max_message_count, 0)
        kept = list(range(start, len(self.messages)))
        latest = self._latest_user()
        if latest < start:
            kept[0] = latest
        return TokenisedConversation([self.messages[i] for i in kept], [self.ids[i] for i in kept], self.encode)

    def fit(self, max_token_count: int) -> FittedConversation:
        """Drop what does not fit: whole messages, oldest first, and never the latest user message.

        The latest user message decides the route, so it goes last of all, after answers that follow it; where it is
        too long by itself, its beginning and end are kept around `ELISION_MARKER`.

        Args:
            max_token_count: Tokens there is room for; at least those of a message that holds the marker only.

        Returns:
            The part that fits. O(messages) on top of tokenising; only the latest user message is tokenised again: once
            when it becomes the last, and at most ``1 + MAX_INTERPOLATIONS + MAX_BISECTIONS`` times when it is elided.
        """
        if self.token_count <= max_token_count:
            return FittedConversation(tuple(chain.from_iterable(self.ids)))
        latest = self._latest_user()
        kept = self._kept(latest, max_token_count)
        ids = tuple(chain.from_iterable(self.ids[i] for i in kept))
        if kept == [latest]:
            ids = self._alone(latest, max_token_count)
        return FittedConversation(ids, len(self.messages) - len(kept), self.token_count - len(ids))

    def _latest_user(self) -> int:
        return max(i for i, message in enumerate(self.messages) if message.role is Role.USER)

    def _kept(self, latest: int, max_token_count: int) -> list[int]:
        """Pick the latest user message and as many of the newest messages as fit beside it, in order."""
        used = len(self.ids[latest])
        kept = [latest]
        for index in reversed(range(len(self.messages))):
            if index == latest:
                continue
            used += len(self.ids[index])
            if used > max_token_count:
                break
            kept.append(index)
        return sorted(kept)

    def _alone(self, latest: int, max_token_count: int) -> TokenIds:
        message = self.messages[latest]
        is_last = latest == len(self.messages) - 1
        ids = self.ids[latest] if is_last else self.encode(message, last=True)
        return ids if len(ids) <= max_token_count else self._elided(message, len(ids), max_token_count)

    def _elided(self, message: Message, token_count: int, max_token_count: int) -> TokenIds:
        """Keep about as many characters as fit: `low` fits and `high` does not, both as measured."""
        low, ids = 0, self.encode(_elide(message, 0), last=True)
        high, high_count = len(message.content), token_count
        slack = int(max_token_count * ELISION_SLACK_SHARE)
        for attempt in range(MAX_INTERPOLATIONS + MAX_BISECTIONS):
            if len(ids) + slack >= max_token_count or high - low <= 1:
                break
            step = (high - low) // 2
            if attempt < MAX_INTERPOLATIONS:
                aim = max_token_count - slack // 2
                step = (high - low) * (aim - len(ids)) // (high_count - len(ids))
            guess = min(max(low + step, low + 1), high - 1)
            guess_ids = self.encode(_elide(message, guess), last=True)
            if len(guess_ids) <= max_token_count:
                low, ids = guess, guess_ids
            else:
                high, high_count = guess, len(guess_ids)
        return ids


def _elide(message: Message, kept_characters: int) -> Message:
    head = round(kept_characters * HEAD_SHARE)
    tail_start = len(message.content) - (kept_characters - head)
    return Message(message.role, message.content[:head] + ELISION_MARKER + message.content[tail_start:])
