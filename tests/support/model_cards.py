"""Model cards of the shape that is published, with content of our own.

The shape was seen in the card of katanemo/Arch-Router-1.5B on its model hub: front matter with ``license: other`` and
the licence's name beside it, prose, and the Python code fenced with four backticks. Others fence with tildes.
"""

from pathlib import Path

PUBLISHED_FENCE = "````"
LICENSE_NAME = "example-research"

_CARD = """\
---
library_name: transformers
license: other
license_name: {license_name}
license_link: LICENSE
base_model:
- example/base-1.5B
language:
- en
pipeline_tag: text-generation
---

# example/router-1.5B

## Overview
Teams describe their routes in plain words; the model picks one for each conversation.

# How to use
The prompt, as used in training:

{fence}python
import json
from typing import Any, Dict, List
from transformers import AutoModelForCausalLM, AutoTokenizer

model_name = "example/router-1.5B"

# Please use our provided prompt for best performance
TASK_INSTRUCTION = {quote}{task}{quote}

FORMAT_PROMPT = {quote}{form}{quote}

# Write markdown with ``` in it, as cards do
def format_prompt(route_config: List[Dict[str, Any]], conversation: List[Dict[str, Any]]):
    return (
        TASK_INSTRUCTION.format(routes=json.dumps(route_config), conversation=json.dumps(conversation))
        + FORMAT_PROMPT
    )
{fence}

Then create the input:

{fence}python
messages = [{{"role": "user", "content": route_prompt}}]
{fence}
"""


def published_card(task: str, form: str, *, fence: str = PUBLISHED_FENCE, quote: str = '"""') -> str:
    """Write a card of the published shape.

    Args:
        task: Text of the literal with the slots, braces doubled where they stand for themselves.
        form: Text of the literal that is appended.
        fence: What fences the code.
        quote: What quotes the literals.

    Returns:
        Markdown.
    """
    return _CARD.format(license_name=LICENSE_NAME, fence=fence, quote=quote, task=task, form=form)


def recast_card(checkpoint: Path, *, fence: str, quote: str) -> str:
    """Write the prompt of a checkpoint's own card as a card of the published shape."""
    card = (checkpoint / "README.md").read_text("utf-8")
    task, form = (card.split(f'{name} = """')[1].split('"""')[0] for name in ("TASK_INSTRUCTION", "FORMAT_PROMPT"))
    return published_card(task, form, fence=fence, quote=quote)
