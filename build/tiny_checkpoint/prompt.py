"""The prompt the tiny checkpoint is trained on, in this project's own words.

The composition mirrors the model card of the real checkpoint: ``TASK_INSTRUCTION`` holds the slots ``{routes}`` and
``{conversation}`` inside tags of the same names, ``FORMAT_PROMPT`` follows it unformatted, and both slots take
``json.dumps`` with Python's defaults (spaces after separators, non-ASCII escaped).
"""

import json
from collections.abc import Sequence

from tiny_checkpoint.corpus import Message, Route

TASK_INSTRUCTION = """
Pick the one route that serves what the user wants now.
<routes>

{routes}

</routes>

<conversation>

{conversation}

</conversation>
"""

FORMAT_PROMPT = """
Judge the last wish of the user alone.
1. If no route fits it, the route is other.
2. Copy the name of the route that fits best.

Answer as JSON:
{"route": "name"}
"""

PROMPT_TEMPLATE = TASK_INSTRUCTION + FORMAT_PROMPT

# ChatML as Qwen2's own template writes it: a default system turn unless the first message is one.
SYSTEM_MESSAGE = "You are a router."
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\\n" + SYSTEM_MESSAGE + "<|im_end|>\\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def user_prompt(routes: Sequence[Route], conversation: Sequence[Message]) -> str:
    """Fill the prompt template.

    Args:
        routes: The policy set, in its order.
        conversation: The messages, oldest first.

    Returns:
        The content of the one user message the model reads.
    """
    routes_json = json.dumps([{"name": route.name, "description": route.description} for route in routes])
    messages_json = json.dumps([{"role": message.role, "content": message.content} for message in conversation])
    return TASK_INSTRUCTION.format(routes=routes_json, conversation=messages_json) + FORMAT_PROMPT


def chat_prompt(routes: Sequence[Route], conversation: Sequence[Message]) -> str:
    """Render the whole prompt up to and including the assistant header, as ``CHAT_TEMPLATE`` does.

    Args:
        routes: The policy set, in its order.
        conversation: The messages, oldest first.

    Returns:
        The text whose tokens the model continues with its answer.
    """
    return (
        f"<|im_start|>system\n{SYSTEM_MESSAGE}<|im_end|>\n"
        f"<|im_start|>user\n{user_prompt(routes, conversation)}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def answer(route_name: str) -> str:
    """Return the answer the model is trained to give for a route name (``other`` for none)."""
    return json.dumps({"route": route_name})
