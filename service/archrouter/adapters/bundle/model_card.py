"""The prompt a checkpoint was trained with, read from its own model card.

Arch-Router's card (a README.md in the checkpoint's folder) shows the prompt as Python: two string literals,
``TASK_INSTRUCTION`` with the slots ``{routes}`` and ``{conversation}``, formatted with `str.format`, and
``FORMAT_PROMPT``, appended as it is. The code is parsed, never run.
"""

import ast
import re
from collections.abc import Iterator
from string import Formatter

TASK_NAME = "TASK_INSTRUCTION"
FORMAT_NAME = "FORMAT_PROMPT"
SLOTS = ("routes", "conversation")

_PYTHON_BLOCK = re.compile(r"^```(?:python|py)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


class ModelCardError(ValueError):
    """The card does not hold the prompt in the form that can be read safely."""


def prompt_template_of(card: str) -> str:
    """Extract the prompt template.

    Args:
        card: The Markdown text of a model card.

    Returns:
        The template with the slots ``{routes}`` and ``{conversation}``; every other character stands for itself.

    Raises:
        ModelCardError: When a literal is missing, given twice with different texts, not a plain string, or when its
            slots are not exactly the two.
    """
    literals: dict[str, str] = {}
    for name, text in _string_assignments(card):
        if literals.setdefault(name, text) != text:
            msg = f"the model card assigns {name} twice, with different texts; give the prompt with --prompt-template"
            raise ModelCardError(msg)
    missing = [name for name in (TASK_NAME, FORMAT_NAME) if name not in literals]
    if missing:
        msg = (
            f"the model card has no Python code block that assigns {' and '.join(missing)} a string; "
            "give the prompt with --prompt-template"
        )
        raise ModelCardError(msg)
    return _without_format_escapes(literals[TASK_NAME]) + literals[FORMAT_NAME]


def _string_assignments(card: str) -> Iterator[tuple[str, str]]:
    for block in _PYTHON_BLOCK.findall(card):
        try:
            module = ast.parse(block)
        except SyntaxError:
            continue  # a block that only sketches code holds no literal to trust
        for statement in module.body:
            yield from _wanted(statement)


def _wanted(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    if not isinstance(statement, ast.Assign):
        return
    for target in statement.targets:
        if isinstance(target, ast.Name) and target.id in {TASK_NAME, FORMAT_NAME}:
            value = statement.value
            if not (isinstance(value, ast.Constant) and isinstance(value.value, str)):
                msg = f"{target.id} in the model card is not a plain string; give the prompt with --prompt-template"
                raise ModelCardError(msg)
            yield target.id, value.value


def _without_format_escapes(task: str) -> str:
    """Undo what `str.format` would: doubled braces stand for one."""
    text, slots = "", []
    try:
        for literal, name, specification, conversion in Formatter().parse(task):
            text += literal
            if name is not None:
                if specification or conversion:
                    msg = f"the slot {{{name}}} of {TASK_NAME} carries a format specification"
                    raise ModelCardError(msg)
                slots.append(name)
                text += "{" + name + "}"
    except ValueError as error:
        if isinstance(error, ModelCardError):
            raise
        msg = f"{TASK_NAME} in the model card is no format string: {error}"
        raise ModelCardError(msg) from error
    if tuple(slots) != SLOTS:
        msg = f"{TASK_NAME} has the slots {slots}; it needs {list(SLOTS)}, once each and in this order"
        raise ModelCardError(msg)
    return text
