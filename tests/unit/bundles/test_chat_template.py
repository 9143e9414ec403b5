"""The chat template around the prompt."""

import pytest

from archrouter.bundles.chat_template import ChatTemplateError, chat_frame_of

QWEN_LIKE = (
    "{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{%- endif %}\n"
    "{%- for message in messages %}\n"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}\n"
)


def test_the_template_is_split_where_the_prompt_goes() -> None:
    """The default system turn is in the head, the assistant header in the tail."""
    expected = (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n",
    )

    assert expected == chat_frame_of(QWEN_LIKE, {})


def test_special_tokens_have_their_names() -> None:
    """A template may name the begin token instead of spelling it."""
    assert "<s>" == chat_frame_of("{{ bos_token }}{{ messages[0].content }}", {"bos_token": "<s>"})[0]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[0].content }}{{ messages[0].content }}", "2 times"),
        ("{{ messages[0].content | upper }}", "0 times"),
        ("{% for %}", "cannot be rendered"),
        ("{{ raise_exception('no system') }}", "no system"),
        ("{{ ''.__class__.__mro__ }}{{ messages[0].content }}", "cannot be rendered"),
        ("{{ messages.append(1) }}{{ messages[0].content }}", "cannot be rendered"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template: str, message: str) -> None:
    """It runs in a sandbox, and must keep the message once and unchanged."""
    with pytest.raises(ChatTemplateError, match=message):
        chat_frame_of(template, {})
