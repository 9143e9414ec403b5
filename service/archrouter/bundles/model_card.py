"""What a checkpoint's own model card says: the prompt the weights were trained with, and their licence.

Arch-Router's card (a README.md in the checkpoint's folder) shows the prompt as Python: two string literals,
``TASK_INSTRUCTION`` with the slots ``{routes}`` and ``{conversation}``, formatted with `str.format`, and
``FORMAT_PROMPT``, appended as it is. The code is parsed, never run.
"""

import ast
from collections.abc import Iterator
from string import Formatter

import yaml
from markdown_it import MarkdownIt

TASK_NAME = "TASK_INSTRUCTION"
FORMAT_NAME = "FORMAT_PROMPT"
SLOTS = ("routes", "conversation")

UNKNOWN_LICENSE = "unknown"

_PYTHON = frozenset({"python", "py", "python3"})
_FRONT_MATTER_FENCE = "---"


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


def license_of(card: str) -> str:
    """Read the licence from the card's front matter.

    Args:
        card: The Markdown text of a model card.

    Returns:
        ``license_name`` where ``license`` is ``other``, as hubs ask for it, else ``license``; `UNKNOWN_LICENSE` where
        the card states none.
    """
    lines = card.splitlines()
    if not lines or lines[0].rstrip() != _FRONT_MATTER_FENCE:
        return UNKNOWN_LICENSE
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() == _FRONT_MATTER_FENCE), 0)
    try:
        fields = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.YAMLError:
        return UNKNOWN_LICENSE
    stated = [fields.get("license_name"), fields.get("license")] if isinstance(fields, dict) else []
    if len(stated) == 2 and stated[1] not in {None, "other"}:  # noqa: PLR2004  # both keys
        stated = stated[1:]
    return next((str(value) for value in stated if value), UNKNOWN_LICENSE)


def _string_assignments(card: str) -> Iterator[tuple[str, str]]:
    for token in MarkdownIt("commonmark").parse(card):
        if token.type != "fence" or token.info.strip().partition(" ")[0].lower() not in _PYTHON:
            continue
        try:
            module = ast.parse(token.content)
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
