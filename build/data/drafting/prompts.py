"""The prompts: Jinja files whose names carry their version, filled in a single pass.

``<name>-<version>.jinja`` holds the system message, a line with three dashes, and the user message. What is filled in
is data: it is never read as a template again, and it stands in the text as JSON or between tags.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from pydantic import BaseModel

DIRECTORY = Path(__file__).parent / "prompts"

_SEPARATOR = "\n---\n"
_SHOWN_DIGEST_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class Prompt:
    """A filled-in prompt.

    Attributes:
        system: The task.
        user: What it is about.
    """

    system: str
    user: str


@dataclass(frozen=True, slots=True)
class _Template:
    """A compiled prompt: the system message, and the user message where there is one."""

    system: Template
    user: Template


class PromptLibrary:
    """The newest version of every prompt.

    Attributes:
        references: Name of a prompt to its version and the beginning of its SHA-256.
    """

    def __init__(self, directory: Path = DIRECTORY) -> None:
        """Read and compile the folder."""
        environment = Environment(  # noqa: S701  # the texts are read by models, not by browsers
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        environment.filters["json"] = _as_json
        newest: dict[str, tuple[int, str]] = {}
        for path in directory.glob("*.jinja"):
            name, _, version = path.stem.rpartition("-")
            newest[name] = max((int(version), path.read_text(encoding="utf-8")), newest.get(name, (0, "")))
        self.references = {name: f"{version} {_digest(text)}" for name, (version, text) in sorted(newest.items())}
        self._templates = {name: _compiled(environment, text) for name, (_, text) in newest.items()}
        self._answer_formats: dict[type[BaseModel], str] = {}

    def render(self, name: str, **values: object) -> Prompt:
        """Fill in a prompt with plain data, one value for each name in its file."""
        template = self._templates[name]
        return Prompt(template.system.render(values).strip(), template.user.render(values).strip())

    def correction(self, problem: str) -> str:
        """Write what is added when an answer could not be used."""
        return self.render("correction", problem=problem).system

    def answer_format(self, answer_type: type[BaseModel]) -> str:
        """Write how to answer; endpoints that take a schema get it a second time beside the prompt."""
        if answer_type not in self._answer_formats:
            schema = answer_type.model_json_schema()
            self._answer_formats[answer_type] = self.render("answer_format", schema=schema).system
        return self._answer_formats[answer_type]


def _compiled(environment: Environment, text: str) -> _Template:
    system, _, user = text.partition(_SEPARATOR)
    return _Template(environment.from_string(system), environment.from_string(user))


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SHOWN_DIGEST_CHARACTERS]
