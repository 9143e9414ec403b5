"""Which messages the router reads."""

from archrouter.domain.conversation import Conversation, Message, Role

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
