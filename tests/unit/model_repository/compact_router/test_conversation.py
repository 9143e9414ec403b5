"""What is read of a conversation, and the counts of what is not."""

import re
from collections.abc import Callable

import pytest
from compact_model.conversation import (
    CHARACTERS_PER_TOKEN,
    SpecialTokens,
    Tokens,
    Window,
    estimated_token_count,
    excerpt,
    read_window,
    shorten,
)
from compact_model.inputs import Message
from compact_model.parameters import WindowLimits
from hypothesis import given
from hypothesis import strategies as st

LIMITS = WindowLimits(
    latest_token_limit=10,
    previous_message_token_limit=6,
    older_message_token_limit=4,
    earlier_token_limit=9,
    earlier_message_limit=3,
    candidate_token_limit=8,
)
SPECIAL = SpecialTokens(start=(ord("<"),), end=ord(">"), roles={"user": (ord("U"),), "assistant": (ord("A"),)})
ROLES = st.sampled_from(("user", "assistant"))
MESSAGES = st.lists(st.builds(Message, ROLES, st.text("ab ", max_size=60)), max_size=8).filter(
    lambda messages: any(message.role == "user" for message in messages)
)


def tokenize(text: str) -> Tokens:
    """Make a token of each character."""
    return tuple(ord(character) for character in text)


def text(tokens: Tokens) -> str:
    """Undo ``tokenize``."""
    return "".join(map(chr, tokens))


def read(*messages: str, limits: WindowLimits = LIMITS) -> Window:
    """Read a conversation in which user and assistant alternate and the user speaks last."""
    roles = ["user" if (len(messages) - index) % 2 else "assistant" for index in range(len(messages))]
    return read_window([Message(*pair) for pair in zip(roles, messages, strict=True)], tokenize, limits)


def test_a_long_latest_message_keeps_its_head_and_its_tail() -> None:
    """A request stands at the start or at the end of what is pasted around it."""
    window = read("head " + "x" * 100 + " tail")

    assert "head  tail" == text(window.latest)
    assert (10, 0, 100) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


@pytest.mark.parametrize(("limit", "kept"), [(1, "a"), (2, "ag"), (3, "abg"), (6, "abcefg"), (7, "abcdefg")])
def test_shortening_keeps_exactly_the_limit_with_the_larger_half_first(limit: int, kept: str) -> None:
    """Limits of one token, odd ones and the full length all hold."""
    assert kept == text(shorten(tokenize("abcdefg"), limit))


def test_the_oldest_messages_go_first_and_go_whole() -> None:
    """A message that does not fit any more is not read, nor is any older one; their tokens are estimated."""
    window = read("aa", "bbbb", "cccc", "dd", "now")

    assert [("assistant", "dd"), ("user", "cccc")] == [(role, text(tokens)) for role, tokens in window.earlier]
    assert (9, 2, 2) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


def test_the_number_of_earlier_messages_is_bounded() -> None:
    """Empty messages cost no tokens of their own, but their marks do."""
    window = read("", "", "", "", "", "now")

    assert 3 == len(window.earlier)
    assert (3, 2, 0) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


def test_the_message_right_before_may_be_longer_than_older_ones() -> None:
    """What is answered matters more than what was said before it; tokens left out of it are counted."""
    window = read("a123z", "b12345z", "now")

    assert ["b1245z"] == [text(tokens) for _, tokens in window.earlier]
    assert (9, 1, 3) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


def test_the_sequence_starts_with_the_latest_message_and_marks_whose_the_others_are() -> None:
    """Types tell the latest message, whose mean is the conversation's vector, from its context."""
    ids, types = read("ask", "say", "now").sequence(SPECIAL)

    assert "<now>Asay>Uask>" == text(ids)
    assert (0,) * 5 + (1,) * 10 == types


def test_messages_after_the_latest_user_message_are_not_read() -> None:
    """Neither do they count as dropped: there would have been room for a tool's result or a prefilled answer."""
    window = read_window([Message("user", "ask"), Message("assistant", "answer")], tokenize, LIMITS)

    assert "ask" == text(window.latest)
    assert (3, 0, 0) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


@given(MESSAGES)
def test_read_and_dropped_tokens_are_the_conversation_up_to_the_latest_user_message(messages: list[Message]) -> None:
    """Every token of a message that is read counts once, messages without room are estimated; limits are kept."""
    window = read_window(messages, tokenize, LIMITS)
    position = max(index for index, message in enumerate(messages) if message.role == "user")
    unread, read_from = messages[: window.dropped_message_count], messages[window.dropped_message_count : position + 1]

    estimated = sum(estimated_token_count(message.content) for message in unread)
    assert sum(len(message.content) for message in read_from) + estimated == (
        window.token_count + window.dropped_token_count
    )
    assert position == len(window.earlier) + window.dropped_message_count
    assert window.token_count <= LIMITS.max_token_count
    assert len(window.latest) <= LIMITS.latest_token_limit


def test_only_what_the_window_can_hold_is_split(tokenized: list[str]) -> None:
    """How much a caller sends does not decide how long reading takes."""
    pasted = "word " * 20_000
    messages = [Message("user", pasted)] * 41

    window = read_window(messages, remember(tokenized), LIMITS)

    assert sum(map(len, tokenized)) <= CHARACTERS_PER_TOKEN * (10 + 6 + 4) + len(tokenized)
    assert 40 - len(window.earlier) == window.dropped_message_count
    assert 40 * 20_000 < window.dropped_token_count


@pytest.fixture
def tokenized() -> list[str]:
    """Give a place for the texts that were split."""
    return []


def remember(texts: list[str]) -> Callable[[str], Tokens]:
    """Make a tokenizer that notes what it is given."""

    def split(text: str) -> Tokens:
        texts.append(text)
        return tokenize(text)

    return split


def test_a_long_message_is_cut_between_words() -> None:
    """Half a word would be another word."""
    message = "head of it " + "middle " * 100 + "tail of it"

    assert ("head of it middle middle middle middle middle middle tail of it", 165) == excerpt(message, token_limit=4)


@pytest.mark.parametrize("length", [0, 1, 64])
def test_a_message_is_whole_up_to_the_characters_kept(length: int) -> None:
    """Up to there the cut is without effect."""
    assert ("x" * length, 0) == excerpt("x" * length, token_limit=4)


def test_a_message_without_any_space_is_cut_all_the_same() -> None:
    """Scripts without spaces, and encoded data."""
    assert ("漢" * 32 + " " + "漢" * 32, 34) == excerpt("漢" * 200, token_limit=4)


def test_white_space_that_is_left_out_is_no_truncation() -> None:
    """Nothing of the request is missing."""
    assert 0 == excerpt("ask" + " " * 500 + "this", token_limit=4)[1]


def test_white_space_around_a_message_takes_no_room() -> None:
    """A request after a page of empty lines is read like any other."""
    for message in ("ask", "ask this", ""):
        assert (message, 0) == excerpt("\n" * 500 + message + " " * 500, token_limit=4)


@given(st.lists(st.sampled_from(("ask", "a,b", "[x]", "it's\n", "x" * 70, "x" * 120, "漢字")), max_size=200))
def test_the_cut_leaves_the_tokens_that_are_read_as_they_are(words: list[str]) -> None:
    """Head and tail are those of the whole message where a token has no more characters than are kept for it."""
    message = " ".join(words)

    assert shorten(split_words(message), 6) == shorten(split_words(excerpt(message, 6 * 8)[0]), 6)


def split_words(text: str) -> Tokens:
    """Make a token of each word and of each sign, as WordPiece does before it cuts words into pieces."""
    return tuple(hash(word) for word in re.findall(r"\w+|[^\w\s]", text))
