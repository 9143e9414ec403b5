"""The input tensors are read strictly, and a refusal names the tensor without quoting the conversation."""

import json

import pytest
from compact_model.inputs import Candidate, InvalidInputError, Message, parse_candidate, parse_conversation

SECRET = "the user's own words"  # noqa: S105 - stands for private text


def test_a_conversation_is_read_in_order() -> None:
    """Roles and contents arrive as they were sent, whatever the script."""
    value = json.dumps([{"role": "assistant", "content": "你好"}, {"role": "user", "content": ""}]).encode()

    assert (Message("assistant", "你好"), Message("user", "")) == parse_conversation(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"\xff\xfe", "it is not UTF-8: byte 0"),
        (b"[{", "it is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"role": "user", "content": "a"}', "not a JSON list"),
        (b"[]", "none of its 0 messages"),
        (b'[{"role": "assistant", "content": "a"}]', "none of its 1 messages"),
        (b'["hello"]', "message 0 is not a JSON object"),
        (b'[{"role": "user"}]', "message 0 is not a JSON object"),
        (b'[{"role": "user", "content": null}]', "message 0 is not a JSON object"),
        (b'[{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]', "the role of message 1"),
    ],
)
def test_a_bad_conversation_is_refused_by_the_name_of_its_tensor(value: bytes, problem: str) -> None:
    """The caller learns which tensor and which message, and what is expected."""
    with pytest.raises(InvalidInputError) as caught:
        parse_conversation(value)

    assert str(caught.value).startswith("tensor 'conversation': ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"\xff", "element 7 is not UTF-8"),
        (b"{", "element 7 is not JSON"),
        (b"[]", "element 7 is not a JSON object"),
        (b'{"id": "a", "domain": "", "action": ""}', "element 7 is not a JSON object with the strings id"),
        (b'{"id": "a", "domain": "", "action": "", "description": 1}', "element 7 is not a JSON object"),
        (b'{"id": "", "domain": "", "action": "", "description": ""}', "the id of element 7 is empty"),
    ],
)
def test_a_bad_candidate_is_refused_by_its_position(value: bytes, problem: str) -> None:
    """The caller learns which element of the tensor to mend."""
    with pytest.raises(InvalidInputError) as caught:
        parse_candidate(value, 7)

    assert str(caught.value).startswith("tensor 'candidates': ")
    assert problem in str(caught.value)


def test_a_candidate_may_carry_further_fields() -> None:
    """A later service may say more about a route than this model reads."""
    value = b'{"id": "a", "domain": "d", "action": "", "description": "x", "models": []}'

    assert Candidate("a", "d", "", "x") == parse_candidate(value, 0)


@pytest.mark.parametrize(
    "value", [f'[{{"role": "{SECRET}", "content": "{SECRET}"}}]', f'["{SECRET}', f'{{"{SECRET}": 1}}']
)
def test_a_refusal_does_not_quote_the_conversation(value: str) -> None:
    """Error texts end up in logs, and what users write must not."""
    with pytest.raises(InvalidInputError) as caught:
        parse_conversation(value.encode())

    assert SECRET not in str(caught.value)
