"""Which messages the router reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrouter.domain.conversation import (
    EXCERPT_CHARACTERS_PER_TOKEN,
    MESSAGE_CHARACTERS_PER_TOKEN,
    Conversation,
    Excerpt,
    Message,
    Role,
)

USER, ASSISTANT = Message(Role.USER, "hi"), Message(Role.ASSISTANT, "hello")
SYSTEM, TOOL = Message(Role.SYSTEM, "be brief"), Message(Role.TOOL, "42")


def test_system_and_tool_messages_are_left_out_and_counted() -> None:
    """The order of the rest is kept."""
    conversation = Conversation.from_messages((SYSTEM, USER, ASSISTANT, TOOL, USER))

    assert (USER, ASSISTANT, USER) == conversation.messages
    assert 2 == conversation.ignored_message_count
    assert conversation.ends_with_user


def test_a_conversation_that_ends_with_a_tool_message_does_not_end_with_the_user() -> None:
    """What the caller sent last decides, even when the router does not read it."""
    assert not Conversation.from_messages((USER, TOOL)).ends_with_user


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u3000"])
@pytest.mark.parametrize("role", [Role.USER, Role.ASSISTANT])
def test_messages_without_text_are_left_out(role: Role, blank: str) -> None:
    """White space is no text: such a message neither decides nor counts as ignored, and decides nothing as the last."""
    conversation = Conversation.from_messages((USER, Message(role, blank), ASSISTANT, Message(role, blank)))

    assert (USER, ASSISTANT) == conversation.messages
    assert 0 == conversation.ignored_message_count
    assert not conversation.ends_with_user


def test_an_excerpt_of_a_short_conversation_is_all_up_to_the_latest_user_message() -> None:
    """What follows the latest user message is not read by design, so nothing counts as dropped."""
    conversation = Conversation.from_messages((USER, ASSISTANT, SYSTEM, USER, TOOL, ASSISTANT))

    assert Excerpt((USER, ASSISTANT, USER)) == conversation.excerpt(304)


@given(st.lists(st.builds(Message, st.sampled_from(Role), st.text(max_size=300)), max_size=40), st.integers(100, 400))
def test_an_excerpt_of_an_ordinary_conversation_lacks_nothing(messages: list[Message], max_token_count: int) -> None:
    """Whatever a model with a small window could read of it is there, unchanged."""
    conversation = Conversation.from_messages((*messages, USER))

    assert Excerpt(conversation.messages) == conversation.excerpt(max_token_count)


def test_an_excerpt_of_a_long_conversation_is_bounded_and_what_it_lacks_is_counted() -> None:
    """Head and tail of the newest messages; one token for four characters of the rest."""
    long = Message(Role.USER, "head" + "x" * 99_992 + "tail")
    conversation = Conversation((long,) * 41, 0, ends_with_user=True)

    excerpt = conversation.excerpt(100)

    character_count = sum(len(message.content) for message in excerpt.messages)
    assert all(m.content.startswith("head") and m.content.endswith("tail") for m in excerpt.messages)
    assert {MESSAGE_CHARACTERS_PER_TOKEN * 100 + 1} == {len(message.content) for message in excerpt.messages}
    assert 41 == len(excerpt.messages) + excerpt.dropped_message_count
    assert character_count <= 100 * (EXCERPT_CHARACTERS_PER_TOKEN + MESSAGE_CHARACTERS_PER_TOKEN)
    assert excerpt.dropped_token_count == pytest.approx((41 * 100_000 - character_count) / 4, abs=41)


def test_white_space_around_a_long_message_goes_first() -> None:
    """The head of a message is its first words."""
    conversation = Conversation((Message(Role.USER, " " * 50_000 + "fix it" + "\n" * 40_000),), 0, ends_with_user=True)

    assert ("fix it",) == tuple(message.content for message in conversation.excerpt(100).messages)
