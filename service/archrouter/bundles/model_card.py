"""What a checkpoint's own model card says: the prompt the weights were trained with, and their licence.

Arch-Router's card (a README.md in the checkpoint's folder) shows the prompt as Python: two string literals,
``TASK_INSTRUCTION`` with the slots ``{routes}`` and ``{conversation}``, formatted with `str.format`, and
``FORMAT_PROMPT``, appended as it is. The code is parsed, never run.
"""

import ast
import re
from collections.abc import Iterator
from string import Formatter

from markdown_it import MarkdownIt

from archrouter.bundles.manifest import BundleError
from archrouter.domain.findings import Finding
from archrouter.strict_yaml.nodes import compose_document
from archrouter.strict_yaml.values import Place, Scalar, YamlList, YamlMap, value_at

TASK_NAME = "TASK_INSTRUCTION"
FORMAT_NAME = "FORMAT_PROMPT"
SLOTS = ("routes", "conversation")

UNKNOWN_LICENSE = "unknown"

_PYTHON = frozenset({"python", "py", "python3"})
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_REMEDY = "give the prompt with --prompt-template"


class ModelCardError(BundleError):
    """The card does not hold the prompt in the form that can be read safely."""


def prompt_template_of(card: str) -> str:
    """Extract the prompt template, with the slots ``{routes}`` and ``{conversation}``, from a model card in Markdown.

    Raises:
        ModelCardError: When a literal is missing, given twice with different texts, not a plain string, or when its
            slots are not exactly the two.
    """
    literals: dict[str, str] = {}
    for name, text in _string_assignments(card):
        if literals.setdefault(name, text) != text:
            msg = f"the model card assigns {name} twice, with different texts; {_REMEDY}"
            raise ModelCardError(msg)
    missing = [name for name in (TASK_NAME, FORMAT_NAME) if name not in literals]
    if missing:
        msg = f"the model card has no Python code block that assigns {' and '.join(missing)} a string; {_REMEDY}"
        raise ModelCardError(msg)
    return _without_format_escapes(literals[TASK_NAME]) + literals[FORMAT_NAME]


def license_of(card: str) -> str:
    """Read the licence from a model card's front matter; `UNKNOWN_LICENSE` where it states none.

    ``license_name`` counts where ``license`` is ``other``, as hubs ask for it; there may be several of ``license``.
    """
    front_matter = _FRONT_MATTER.match(card)
    root = compose_document(front_matter[1], "a key") if front_matter else None
    if root is None or isinstance(root, Finding):
        return UNKNOWN_LICENSE
    fields = value_at(Place("", root), lambda _place, _message: None)
    stated, name = (_words(fields, key) for key in ("license", "license_name"))
    return (name if name and stated in {"", "other"} else stated) or UNKNOWN_LICENSE


def _words(fields: object, key: str) -> str:
    value = fields.get(key) if isinstance(fields, YamlMap) else None
    items = value if isinstance(value, YamlList) else [value]
    return ", ".join(item.word for item in items if isinstance(item, Scalar) and item.place.has_value)


def _string_assignments(card: str) -> Iterator[tuple[str, str]]:
    for token in MarkdownIt("commonmark").parse(card):
        if token.type != "fence" or token.info.strip().partition(" ")[0].lower() not in _PYTHON:
            continue
        try:
            module = ast.parse(token.content)
        except SyntaxError:
            continue  # a block that only sketches code holds no literal to trust
        for statement in module.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign):
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                names = {target.id for target in targets if isinstance(target, ast.Name)} & {TASK_NAME, FORMAT_NAME}
                yield from ((name, _literal(name, statement.value)) for name in sorted(names))


def _literal(name: str, value: ast.expr | None) -> str:
    """Return the text of a string literal, or of several that are joined by ``+``."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return _literal(name, value.left) + _literal(name, value.right)
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    msg = f"{name} in the model card is not a plain string; {_REMEDY}"
    raise ModelCardError(msg)


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
