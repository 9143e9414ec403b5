"""Bounds of a request."""

import pytest

from archrouter.application.router import RequestLimits
from archrouter.domain.conversation import Message, Role
from archrouter.domain.errors import InvalidRequestError

LIMITS = RequestLimits(max_messages=3, max_message_characters=5, max_batch_size=2, max_inline_routes=4)
HELLO = Message(Role.USER, "hello")


def violations(*messages: Message) -> list[str]:
    """Return the field paths that are refused."""
    with pytest.raises(InvalidRequestError) as caught:
        LIMITS.check_messages(messages)
    return [finding.field_path for finding in caught.value.findings]


def test_a_conversation_within_the_limits_passes() -> None:
    """The limits themselves are allowed."""
    LIMITS.check_messages((HELLO, Message(Role.ASSISTANT, "12345"), HELLO))


def test_the_number_of_messages_is_bounded_on_both_sides() -> None:
    """None and too many are refused, naming the list."""
    assert ["messages"] == violations()
    assert ["messages"] == violations(HELLO, HELLO, HELLO, HELLO)


def test_every_long_message_is_named() -> None:
    """All violations come at once, each with its index."""
    long = Message(Role.USER, "123456")

    assert ["messages[0].content", "messages[2].content"] == violations(long, HELLO, long)


def test_a_conversation_without_a_user_text_is_refused() -> None:
    """The route follows the user, so there must be something to follow."""
    assert ["messages"] == violations(Message(Role.ASSISTANT, "hi"), Message(Role.USER, " \n\u3000"))


def test_lists_are_bounded_by_their_length_alone() -> None:
    """Whoever reads a request can refuse it before walking over its lists."""
    assert [] == LIMITS.count_findings(3, 4)
    assert ["messages", "routes"] == [finding.field_path for finding in LIMITS.count_findings(4, 5)]


def test_an_inline_set_with_too_many_routes_names_the_setting() -> None:
    """The number of inline routes is bounded by configuration."""
    (finding,) = LIMITS.count_findings(1, 5)

    assert "limits.max_inline_routes" in finding.message
