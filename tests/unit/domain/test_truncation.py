"""Fitting a conversation into the tokens there is room for."""

from collections.abc import Sequence
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrouter.domain import truncation
from archrouter.domain.conversation import Message, Role
from archrouter.domain.truncation import (
    CHARACTERS_PER_TOKEN,
    COUNTED_TOKENS,
    ELISION_MARKER,
    MAX_BISECTIONS,
    MAX_INTERPOLATIONS,
    fit_conversation,
)

FRAME = 2
ROOM_FOR_MARKER = FRAME + len(ELISION_MARKER)

ROLES = st.sampled_from([Role.USER, Role.ASSISTANT])
CONTENTS = st.text(alphabet="ab. é你", min_size=1, max_size=40)
MESSAGES = st.lists(st.builds(Message, ROLES, CONTENTS), min_size=1, max_size=8).filter(
    lambda messages: any(message.role is Role.USER for message in messages)
)

SPARSE_MESSAGES = st.lists(
    st.builds(Message, ROLES, st.lists(st.sampled_from(["ab", " " * 9, "你"]), min_size=1, max_size=40).map("".join)),
    min_size=1,
    max_size=8,
).filter(lambda messages: any(message.role is Role.USER for message in messages))


class Encoder:
    """A message costs its UTF-8 bytes, one more, and another one where it is not the last; ids are its own text."""

    def __init__(self) -> None:
        """Start counting."""
        self.seen: list[str] = []

    def __call__(self, message: Message, *, last: bool) -> tuple[int, ...]:
        """Encode and count."""
        self.seen.append(message.content)
        return (1000, *message.content.encode(), 1001 if last else 1002)


class UnevenlyDense:
    """A tokenizer to which some characters cost much more than others."""

    COSTS: ClassVar[dict[str, int]] = {"e": 10_000, "d": 1_000, "c": 100, "b": 10, "a": 1}

    def __call__(self, message: Message, *, last: bool) -> tuple[int, ...]:
        """Encode; ten units make a token, marker characters are free."""
        del last
        return (0,) * (sum(self.COSTS.get(letter, 0) for letter in message.content) // 10)


def user(content: str) -> Message:
    """Shorten a user message."""
    return Message(Role.USER, content)


def assistant(content: str) -> Message:
    """Shorten an assistant message."""
    return Message(Role.ASSISTANT, content)


def encode_whole(messages: Sequence[Message]) -> tuple[int, ...]:
    """Encode a conversation all of which is kept."""
    encode = Encoder()
    return sum((encode(each, last=each is messages[-1]) for each in messages), ())


def read(ids: Sequence[int]) -> list[str]:
    """Give the contents of the kept messages back."""
    contents, current = [], bytearray()
    for token in ids:
        if token < 256:
            current.append(token)
        elif token > 1000:
            contents.append(current.decode())
            current.clear()
    return contents


@pytest.mark.parametrize(
    ("messages", "room", "kept"),
    [
        ([user("aaa"), assistant("bbb"), user("ccc")], 15, ["aaa", "bbb", "ccc"]),
        ([user("aaa"), assistant("bbb"), user("ccc")], 14, ["bbb", "ccc"]),
        ([user("aaa"), assistant("bbb"), user("ccc")], 9, ["ccc"]),
        ([user("aaa"), user("bbb"), assistant("ccc")], 14, ["bbb", "ccc"]),
        ([user("aaa"), assistant("bbb"), assistant("ccc")], 14, ["aaa", "ccc"]),
        ([user("aaa"), assistant("b" * 90)], 14, ["aaa"]),
        ([user("a"), user("bbb"), assistant("c" * 90)], 14, ["bbb"]),
        ([user("a" * 90), assistant("bbb"), user("ccc")], 14, ["bbb", "ccc"]),
    ],
)
def test_whole_messages_are_dropped_oldest_first(messages: list[Message], room: int, kept: list[str]) -> None:
    """The latest user message outlives all others, also the answers that follow it."""
    fitted = fit_conversation(messages, Encoder(), room)

    assert kept == read(fitted.ids)
    assert fitted.dropped_message_count == len(messages) - len(kept)
    assert fitted.dropped_token_count == len(encode_whole(messages)) - len(fitted.ids)


def test_latest_user_message_too_long_by_itself_keeps_both_ends() -> None:
    """Six tenths from the beginning, the rest from the end, a marker between."""
    fitted = fit_conversation([assistant("x"), user("a" * 500 + "b" * 500)], Encoder(), ROOM_FOR_MARKER + 100)

    assert ["a" * 60 + ELISION_MARKER + "b" * 40] == read(fitted.ids)
    assert fitted.dropped_message_count == 1
    assert fitted.dropped_token_count == 1000 + FRAME + 1 + FRAME - len(fitted.ids)


def test_message_that_becomes_the_last_is_counted_as_the_last() -> None:
    """The end of the section may cost more than a separator; then even one message is elided."""

    def encode(message: Message, *, last: bool) -> tuple[int, ...]:
        return tuple(message.content.encode()) + (0,) * (10 if last else 1)

    fitted = fit_conversation([user("a" * 40), assistant("b" * 40)], encode, 45)

    assert len(fitted.ids) <= 45
    assert ELISION_MARKER.encode() in bytes(fitted.ids)


@given(MESSAGES, st.integers(ROOM_FOR_MARKER + 12, 200))
def test_budget_is_never_exceeded_and_latest_user_message_never_lost(messages: list[Message], room: int) -> None:
    """Whatever the conversation, the counts add up and what is kept is a run of the newest messages."""
    latest = max(index for index, message in enumerate(messages) if message.role is Role.USER)

    fitted = fit_conversation(messages, Encoder(), room)

    contents = read(fitted.ids)
    total = len(encode_whole(messages))
    assert len(fitted.ids) <= room
    assert total == fitted.dropped_token_count + len(fitted.ids)
    assert len(messages) == fitted.dropped_message_count + len(contents)
    newest = [message.content for message in messages[len(messages) - len(contents) :]]
    protected = [messages[latest].content, *newest[1:]]
    head, marker, tail = contents[0].partition(ELISION_MARKER)
    if marker and len(contents) == 1:
        assert messages[latest].content.startswith(head)
        assert messages[latest].content.endswith(tail)
        assert head
    else:
        assert contents in (newest, protected)
    assert (total <= room) == (fitted.dropped_token_count == 0)


@pytest.mark.parametrize("room", [25_000, 45_000, 70_000, 90_000])
@pytest.mark.parametrize("inside_out", [False, True])
def test_elided_message_uses_its_room_even_where_tokens_are_unevenly_dense(room: int, *, inside_out: bool) -> None:
    """Density over five orders of magnitude, growing outwards or inwards, leaves less than a tenth unused."""
    half = "".join(letter * 10**power for power, letter in enumerate("edcba", start=1))
    content = half[::-1] + half if inside_out else half + half[::-1]

    fitted = fit_conversation([user(content)], UnevenlyDense(), room)

    assert 0.9 * room <= len(fitted.ids) <= room


@pytest.mark.parametrize("count", [1, 10])
def test_each_message_is_tokenised_once_unless_the_latest_is_elided(count: int) -> None:
    """Newest first; only one message is ever tokenised again, a bounded number of times."""
    encode = Encoder()
    messages = [user(f"{index:03}" * 50) for index in range(count)]

    fit_conversation(messages, encode, 60)

    again = encode.seen[count:]
    assert [message.content for message in reversed(messages)] == encode.seen[:count]
    assert len(again) <= 1 + MAX_INTERPOLATIONS + MAX_BISECTIONS
    assert all(ELISION_MARKER in content for content in again)


@pytest.mark.parametrize("role", [Role.USER, Role.ASSISTANT])
def test_text_that_cannot_be_read_is_not_tokenised(role: Role) -> None:
    """Four million characters cost hardly more than what the model reads, in small steps, and are counted as well."""
    encode = Encoder()
    messages = [user("what now? " * 10_000), *(Message(role, "no answer " * 10_000) for _ in range(40))]

    fitted = fit_conversation(messages, encode, 2_000)

    latest = max(index for index, message in enumerate(messages) if message.role is Role.USER)
    assert read(fitted.ids)[0].startswith(messages[latest].content[:1_000])
    assert len(fitted.ids) <= 2_000
    assert fitted.dropped_message_count == 40
    assert 41 * 100_000 / 4 < fitted.dropped_token_count < 41 * 100_000
    assert max(map(len, encode.seen)) <= CHARACTERS_PER_TOKEN * (2_000 + COUNTED_TOKENS + 100)
    assert sum(map(len, encode.seen)) <= 2 * CHARACTERS_PER_TOKEN * (2_000 + COUNTED_TOKENS) * 2


@given(SPARSE_MESSAGES, st.integers(ROOM_FOR_MARKER + 12, 100), st.integers(0, 40))
def test_what_fits_does_not_depend_on_how_little_is_tokenised(
    messages: list[Message], room: int, counted_tokens: int
) -> None:
    """Reading beginnings only, of a text however sparse, keeps the same messages whole."""

    def encode(message: Message, *, last: bool) -> tuple[int, ...]:
        return (*message.content.replace(" ", "").encode(), 1001 if last else 1002)

    patient = fit_conversation(messages, encode, room)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(truncation, "CHARACTERS_PER_TOKEN", 1)
        patched.setattr(truncation, "_CUT_WORD_SLACK", 0)
        patched.setattr(truncation, "COUNTED_TOKENS", counted_tokens)
        hasty = fit_conversation(messages, encode, room)

    assert patient.dropped_message_count == hasty.dropped_message_count
    assert (patient.dropped_token_count == 0) == (hasty.dropped_token_count == 0)
    assert len(hasty.ids) <= room
    if hasty.dropped_message_count < len(messages) - 1 or not patient.dropped_token_count:
        assert patient.ids == hasty.ids


def test_elided_message_uses_its_room_where_text_is_sparse() -> None:
    """A long message of few tokens is looked at until it is seen not to fit."""

    def encode(message: Message, *, last: bool) -> tuple[int, ...]:
        del last
        return tuple(message.content.replace(" ", "").encode())

    fitted = fit_conversation([user(("a" + " " * 99) * 1_000)], encode, 500)

    assert 490 <= len(fitted.ids) <= 500


def test_conversation_that_fits_is_tokenised_once() -> None:
    """The usual case costs nothing extra."""
    encode = Encoder()

    fit_conversation([user("a"), assistant("b")], encode, 100)

    assert ["a", "b"] == encode.seen
