"""The files of ``deploy/``, read as the tools that run them would."""

import fnmatch
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
"""A YAML document; its shape is the business of the tool that reads it."""

REQUIRED_VARIABLES = {
    "ENGINE_DIRECTORY": "/srv/archrouter/engine",
    "GRAFANA_PASSWORD": "a password",
    "TRITON_ADMIN_KEY": "a key",
}
"""Values for what compose.yaml requires."""

_CONTINUATION = re.compile(r"\\\n(?:\s*#[^\n]*\n)*")
_FLAG = re.compile(r"--(?P<name>[a-z-]+)=(?P<value>\S+)\s+")
_BUILD_ARGUMENT = re.compile(r"\$\{(\w+)\}")
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<operator>:[-?])(?P<text>[^}]*))?\}")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile.

    Attributes:
        keyword: E.g. ``COPY``.
        flags: What stands before its arguments, e.g. ``from`` of ``--from=build``.
        text: Its arguments, continuation lines joined.
    """

    keyword: str
    flags: Mapping[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """Its arguments, from the JSON form or the shell form."""
        return [str(word) for word in json.loads(self.text)] if self.text.startswith("[") else shlex.split(self.text)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a Dockerfile.

    Attributes:
        base: The image or stage it starts from, build arguments filled in by their defaults.
        instructions: Its own instructions, FROM apart.
    """

    base: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile.

    Attributes:
        stages: By name, in order; the stage without a name is ``final``.
    """

    stages: Mapping[str, Stage]

    @classmethod
    def read(cls, path: Path) -> "Dockerfile":
        """Parse a file."""
        arguments: dict[str, str] = {}
        stages: dict[str, tuple[str, list[Instruction]]] = {}
        current: list[Instruction] = []
        for instruction in _instructions(path.read_text(encoding="utf-8")):
            if instruction.keyword == "ARG" and not stages:
                name, _, value = instruction.text.partition("=")
                arguments[name] = value
            elif instruction.keyword == "FROM":
                base, *name_of_stage = re.split(r"\s+AS\s+", instruction.text)
                current = []
                base = _BUILD_ARGUMENT.sub(lambda match: arguments[match[1]], base)
                stages[name_of_stage[0] if name_of_stage else "final"] = (base, current)
            else:
                current.append(instruction)
        return cls({name: Stage(base, tuple(own)) for name, (base, own) in stages.items()})

    @property
    def base_images(self) -> set[str]:
        """The images it takes from elsewhere."""
        return {stage.base for stage in self.stages.values()} - self.stages.keys()

    def lineage(self, name: str) -> list[Instruction]:
        """Return everything that made a stage: the instructions of the stages it starts from, then its own."""
        stage = self.stages[name]
        inherited = self.lineage(stage.base) if stage.base in self.stages else []
        return [*inherited, *stage.instructions]

    def last(self, name: str, keyword: str) -> Instruction:
        """Return the instruction that counts where a later one takes the place of an earlier one."""
        return [instruction for instruction in self.lineage(name) if instruction.keyword == keyword][-1]

    def environment(self, name: str) -> dict[str, str]:
        """Return what ENV sets."""
        pairs = [word for each in self.lineage(name) if each.keyword == "ENV" for word in each.words]
        return dict(pair.split("=", 1) for pair in pairs)

    def ports(self, name: str) -> set[int]:
        """Return what EXPOSE names."""
        return {int(port) for each in self.lineage(name) if each.keyword == "EXPOSE" for port in each.words}

    def health_command(self, name: str) -> list[str]:
        """Return the command of HEALTHCHECK."""
        keyword, _, command = self.last(name, "HEALTHCHECK").text.partition(" ")
        assert "CMD" == keyword
        return [str(word) for word in json.loads(command)]


def is_in_context(path: str, ignore_file: Path) -> bool:
    """Say whether a path survives a .dockerignore: the last line that matches it or a folder above it decides."""
    parents = [path, *(str(parent) for parent in Path(path).parents)]
    included = True
    for line in ignore_file.read_text(encoding="utf-8").splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#"):
            negated, pattern = pattern.startswith("!"), pattern.removeprefix("!")
            if any(fnmatch.fnmatchcase(parent, pattern) for parent in parents):
                included = negated
    return included


class VariableMissingError(Exception):
    """A variable that has no default is not set; the message is the one that Compose shows."""


def read_yaml(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def read_compose(path: Path, variables: Mapping[str, str]) -> Document:
    """Read a Compose file with its variables filled in.

    Raises:
        VariableMissingError: When a required one is missing or empty.
    """

    def fill(value: object) -> object:
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        return _VARIABLE.sub(lambda match: _value(match, variables), value) if isinstance(value, str) else value

    filled = fill(read_yaml(path))
    assert isinstance(filled, dict)
    return filled


def variable_names(path: Path) -> set[str]:
    """Return the variables that a Compose file reads."""
    return {match["name"] for match in _VARIABLE.finditer(path.read_text(encoding="utf-8"))}


def mounts(service: Document) -> dict[str, str]:
    """Return source by target of what a service has mounted."""
    return {mount["target"]: mount["source"] for mount in service["volumes"]}


def flags_of(command: Sequence[str]) -> dict[str, str]:
    """Return the flags of a command, ``--name=value`` or a bare ``--name``."""
    return {word.partition("=")[0]: word.partition("=")[2] for word in command if word.startswith("--")}


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    value = variables.get(match["name"], "")
    if match["operator"] == ":?" and not value:
        raise VariableMissingError(match["text"])
    return value or (match["text"] or "")


def _instructions(text: str) -> Iterator[Instruction]:
    for line in _CONTINUATION.sub(" ", text).splitlines():
        if line.strip() and not line.startswith("#"):
            keyword, _, rest = line.partition(" ")
            flags: dict[str, str] = {}
            while found := _FLAG.match(rest):
                flags[found["name"]] = found["value"]
                rest = rest[found.end() :]
            yield Instruction(keyword, flags, rest.strip())
