"""The chat template around the one user message a router prompt is, split where that message goes."""

from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

_PLACE = "archrouter-prompt-goes-here"


class ChatTemplateError(ValueError):
    """The chat template cannot be rendered, or does not keep the message as it is."""


def chat_frame_of(template: str, special_tokens: dict[str, str]) -> tuple[str, str]:
    """Render a checkpoint's chat template, untrusted, in a sandbox, around one user message.

    Returns:
        The text before the message, with the default system turn and the user header, and the text after it, with the
        end of the turn and the assistant header.

    Raises:
        ChatTemplateError: When the template fails, or does not contain the message exactly once, unchanged.
    """
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = _raise
    try:
        text = environment.from_string(template).render(
            {**special_tokens, "messages": [{"role": "user", "content": _PLACE}], "add_generation_prompt": True}
        )
    except ChatTemplateError:
        raise
    except Exception as error:  # it is a program, and can fail in every way that one can
        msg = f"the chat template cannot be rendered: {error}"
        raise ChatTemplateError(msg) from error
    parts = text.split(_PLACE)
    if len(parts) != 2:  # noqa: PLR2004  # before and after
        msg = f"the chat template holds the user message {len(parts) - 1} times; it must hold it once"
        raise ChatTemplateError(msg)
    head, tail = parts
    return head, tail


def _raise(message: str) -> None:
    raise ChatTemplateError(message)
