"""JSON in every dialect, and tags that callers may not write."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrouter.domain.conversation import Message, Role
from archrouter.domain.dialect import Dialect, TagGuard
from archrouter.domain.policy import RoutePolicy

NO_TAGS = TagGuard(())
TAGS = TagGuard({"routes", "conversation"})


def message(content: str, role: Role = Role.USER) -> Message:
    """Shorten the tests' most frequent value."""
    return Message(role, content)


def render(dialect: Dialect, content: str, tags: TagGuard = TAGS) -> str:
    """Write a conversation of one message."""
    form = dialect.messages
    return form.opening + dialect.message_record(message(content), tags) + form.closing


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (
            Dialect.CARD,
            r'[{"role": "user", "content": "a \"b\" \\ \u4f60\u597d \ud83d\ude42 it' + "'" + r's\n\t\u007f"}]',
        ),
        (Dialect.GATEWAY, r'[{"role":"user","content":"a \"b\" \\ 你好 🙂 it' + "'" + 's\\n\\t\x7f"}]'),
        (
            Dialect.PLANO,
            """[
    {
        "role": "user",
        "content": "a \\"b\\" \\\\ 你好 🙂 it's\\n\\t\x7f"
    }
]""",
        ),
    ],
)
def test_message_has_the_bytes_of_its_dialect(dialect: Dialect, expected: str) -> None:
    """Written by hand: CARD has spaces and escapes everything outside ASCII, GATEWAY has neither, PLANO is indented."""
    actual = render(dialect, 'a "b" \\ 你好 🙂 it\'s\n\t\x7f')

    assert expected == actual


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (Dialect.CARD, r'name": "\u7ffb\u8bd1", "description": "x'),
        (Dialect.GATEWAY, 'name":"翻译","description":"x'),
        (Dialect.PLANO, 'name": "翻译", "description": "x'),
    ],
)
def test_route_is_written_as_name_and_description_only(dialect: Dialect, expected: str) -> None:
    """Domain, action, models and thresholds never reach the model."""
    route = RoutePolicy("翻译", "language", "translate", "x", (), min_confidence=0.5)

    assert expected == dialect.route_record(route, TAGS)


@given(
    st.lists(st.tuples(st.sampled_from([Role.USER, Role.ASSISTANT]), st.text()), min_size=1), st.sampled_from(Dialect)
)
def test_joined_records_are_the_bytes_of_json_dumps(turns: list[tuple[Role, str]], dialect: Dialect) -> None:
    """Any text without tags comes out as the standard library writes it, in every dialect."""
    records = [{"role": role.value, "content": text} for role, text in turns]
    ways: dict[Dialect, dict[str, Any]] = {  # Any: options of several types
        Dialect.CARD: {"ensure_ascii": True},
        Dialect.GATEWAY: {"ensure_ascii": False, "separators": (",", ":")},
        Dialect.PLANO: {"ensure_ascii": False, "indent": 4},
    }
    form = dialect.messages

    actual = form.separator.join(dialect.message_record(message(text, role), NO_TAGS) for role, text in turns)

    assert json.dumps(records, **ways[dialect]) == form.opening + actual + form.closing


@given(
    st.text(alphabet=st.sampled_from('</>\\"n conversationROUTES\u017f\u212a\n🙂'), max_size=60),
    st.sampled_from(Dialect),
)
def test_text_survives_neutralising_as_a_json_value(content: str, dialect: Dialect) -> None:
    """A JSON reader gets the caller's text back, tags or not."""
    text = render(dialect, f"{content}</conversation>{content}")

    assert [{"role": "user", "content": f"{content}</conversation>{content}"}] == json.loads(text)
    assert "</conversation" not in text


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    "tag",
    [
        *("</conversation>", "<conversation>", "</routes>", "<routes>", "</CONVERSATION>", "< / Routes >"),
        *("<conversation/>", '<routes id="1">', "</conversation", "<<conversation>>", "\\</conversation>"),
    ],
)
def test_tag_of_the_template_is_escaped(tag: str, dialect: Dialect) -> None:
    """No way to write a tag leaves its bytes in the prompt."""
    text = render(dialect, f"a{tag} b")

    assert "\\u003c" in text
    assert f"a{tag} b" == json.loads(text)[0]["content"]


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    "text", ["1 < 2", "<div>", "<conversations>", "<Route path>", "conversation>", "a<b routes", "<|im_end|>"]
)
def test_harmless_angle_brackets_keep_their_bytes(text: str, dialect: Dialect) -> None:
    """Only tags of the template are touched; all else is what the model was trained on."""
    assert render(dialect, text, NO_TAGS) == render(dialect, text)


@pytest.mark.parametrize("dialect", Dialect)
def test_lone_surrogate_can_always_be_encoded(dialect: Dialect) -> None:
    """Text that is no text, as a YAML escape can make it, comes out as UTF-8 all the same."""
    surrogate = chr(0xD83D)

    text = render(dialect, f"a{surrogate}b")

    replaced = surrogate if dialect is Dialect.CARD else "\ufffd"
    assert text.isascii() == (dialect is Dialect.CARD)
    assert f"a{replaced}b" == json.loads(text.encode())[0]["content"]
