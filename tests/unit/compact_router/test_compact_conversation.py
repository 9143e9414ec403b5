"""What is read of a conversation, and the counts of what is not."""

import pytest
from compact_model.conversation import Tokens, Window, read_window, shorten
from compact_model.inputs import Message
from compact_model.parameters import WindowLimits
from hypothesis import given
from hypothesis import strategies as st

LIMITS = WindowLimits(
    latest_token_limit=10, earlier_message_token_limit=4, history_token_limit=9, history_message_limit=3
)
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

    assert ["dd", "cccc"] == [text(message.tokens) for message in window.history]
    assert (9, 2, 6) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


def test_the_number_of_earlier_messages_is_bounded() -> None:
    """Empty messages cost no tokens, but reading them costs time."""
    window = read("", "", "", "", "", "now")

    assert 3 == len(window.history)
    assert (3, 2, 0) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


def test_an_earlier_message_is_shortened_and_its_lost_tokens_are_counted() -> None:
    """A shortened message is read, so it counts as tokens dropped and not as a message dropped."""
    window = read("a123456z", "b", "now")

    assert "a16z" == text(window.history[1].tokens)
    assert (8, 0, 4) == (window.token_count, window.dropped_message_count, window.dropped_token_count)


def test_the_age_of_a_message_is_counted_in_user_turns() -> None:
    """The assistant's answer is as old as the user message after it makes it."""
    limits = WindowLimits(
        latest_token_limit=10, earlier_message_token_limit=4, history_token_limit=40, history_message_limit=9
    )

    window = read("u", "a", "u", "a", "now", limits=limits)

    assert [("assistant", 0), ("user", 0), ("assistant", 1), ("user", 1)] == [
        (message.role, message.age) for message in window.history
    ]


def test_the_exchange_puts_the_assistants_message_before_the_latest_one() -> None:
    """The two share the encoder's sequence, so the latest message is shortened further there."""
    window = read("a", "bcdefghi", "0123456789")

    assert "0123456789" == text(window.latest)
    assert "bchi" + "012789" == text(window.exchange)


def test_the_exchange_is_the_latest_message_when_the_user_spoke_before() -> None:
    """Only the message right before can be what the user answers."""
    messages = [Message("assistant", "a"), Message("user", "b"), Message("user", "c")]

    window = read_window(messages, tokenize, LIMITS)

    assert "c" == text(window.exchange)
    assert ["b", "a"] == [text(message.tokens) for message in window.history]


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
    assert len(messages) == 1 + len(window.history) + window.dropped_message_count
    assert window.token_count <= LIMITS.max_token_count
    assert max(len(window.latest), len(window.exchange)) <= LIMITS.latest_token_limit
