"""What is read of a conversation, and the counts of what is not."""

import pytest
from compact_model.conversation import SpecialTokens, Tokens, Window, read_window, shorten
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
SPECIAL = SpecialTokens(start=ord("<"), end=ord(">"), roles={"user": ord("U"), "assistant": ord("A")})
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
    """A message that does not fit any more is not read at all, and none older than it is."""
    window = read("aa", "bbbb", "cccc", "dd", "now")

    assert [("assistant", "dd"), ("user", "cccc")] == [(role, text(tokens)) for role, tokens in window.earlier]
    assert (9, 2, 6) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


def test_the_number_of_earlier_messages_is_bounded() -> None:
    """Empty messages cost no tokens of their own, but their marks do."""
    window = read("", "", "", "", "", "now")

    assert 3 == len(window.earlier)
    assert (3, 2, 0) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


def test_the_message_right_before_may_be_longer_than_older_ones() -> None:
    """What is answered matters more than what was said before it; tokens left out are counted."""
    window = read("a123z", "b12345z", "now")

    assert ["b1245z"] == [text(tokens) for _, tokens in window.earlier]
    assert (9, 1, 6) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


def test_the_sequence_starts_with_the_latest_message_and_marks_whose_the_others_are() -> None:
    """Types tell the latest message, whose mean is the conversation's vector, from its context."""
    ids, types = read("ask", "say", "now").sequence(SPECIAL)

    assert "<now>Asay>Uask>" == text(ids)
    assert (0,) * 5 + (1,) * 10 == types


def test_messages_after_the_latest_user_message_are_not_read() -> None:
    """They count as dropped, since no token of them is read."""
    window = read_window([Message("user", "ask"), Message("assistant", "answer")], tokenize, LIMITS)

    assert "ask" == text(window.latest)
    assert (3, 1, 6) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


@given(MESSAGES)
def test_read_and_dropped_tokens_are_the_whole_conversation(messages: list[Message]) -> None:
    """Every token is counted exactly once, and the window keeps its limits."""
    window = read_window(messages, tokenize, LIMITS)

    assert sum(len(message.content) for message in messages) == window.token_count + window.dropped_token_count
    assert len(messages) == 1 + len(window.earlier) + window.dropped_message_count
    assert window.token_count <= LIMITS.max_token_count
    assert len(window.latest) <= LIMITS.latest_token_limit
