"""Bounds of a request."""

import pytest

from archrouter.application.limits import RequestLimits
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
    assert ["messages"] == violations(Message(Role.ASSISTANT, "hi"), Message(Role.USER, "  "))
