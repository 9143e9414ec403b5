"""Where the values of the configuration come from: flags, the environment, a file, and defaults, in this order.

A name that nobody reads is an error in each of them: a setting with a typo is a setting that silently does nothing.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from archrouter.config import ENV_PREFIX, Settings
from archrouter.domain.findings import Finding
from archrouter.strict_yaml.nodes import compose_document, read_text
from archrouter.strict_yaml.reader import FieldReader

DEFAULT_SOURCE = "default"

# Kubernetes puts these into every container of a namespace that has a service whose name begins with "archrouter",
# e.g. ARCHROUTER_SERVICE_HOST or ARCHROUTER_TRITON_PORT_8001_TCP_ADDR. They are nobody's typo.
_SERVICE_LINK = re.compile(
    ENV_PREFIX + r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)"
)
_CONTENT = re.compile(r"^\s*[^#\s]", re.MULTILINE)
_SHOWN_CHARACTERS = 60
_MIN_LIKENESS = 0.8  # a typo, rather than another name of the same section
_BOUNDS = {annotated_types.Ge: ">=", annotated_types.Gt: ">", annotated_types.Le: "<=", annotated_types.Lt: "<"}
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


class SettingsError(Exception):
    """The configuration cannot be used.

    Attributes:
        problems: One line for each thing that is wrong: key, value, source and remedy.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        """Keep the problems, at least one."""
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class SettingKey:
    """One key of the configuration and its names.

    Attributes:
        section: The section it is in.
        name: Its name there.
        field: Type, default, range and description.
    """

    section: str
    name: str
    field: FieldInfo

    @property
    def key(self) -> str:
        """Its name in the file and in every text, e.g. ``server.listen``."""
        return f"{self.section}.{self.name}"

    @property
    def env(self) -> str:
        """Its name in the environment, e.g. ``ARCHROUTER_SERVER_LISTEN``."""
        return f"{ENV_PREFIX}{self.section}_{self.name}".upper()

    @property
    def flag(self) -> str:
        """Its name on the command line, e.g. ``--server-listen``."""
        return f"--{self.section}-{self.name}".replace("_", "-")

    @property
    def is_switch(self) -> bool:
        """Whether it is true or false."""
        return self.field.annotation is bool

    @property
    def allowed(self) -> str:
        """What its value must be, in words, e.g. ``a whole number >= 1``."""
        annotation = self.field.annotation
        if get_origin(annotation) is Literal:
            return f"one of {', '.join(get_args(annotation))}"
        # The four scalar types are all that the configuration has; anything else fails here, in every test.
        type_name = _TYPE_NAMES[annotation]  # type: ignore[index]
        bounds = [f"{_BOUNDS[type(item)]} {_bound(item)}" for item in self.field.metadata if type(item) in _BOUNDS]
        return " ".join([type_name, " and ".join(bounds)]).strip()

    @property
    def default(self) -> str:
        """Its default as it would be written in the file; empty text reads as empty."""
        value = self.field.default
        return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class _Value:
    value: object
    source: str


def section_type(section: str) -> type[BaseModel]:
    """Look up the model of a section.

    Args:
        section: Name of a section of `Settings`.

    Returns:
        Its model.
    """
    annotation = Settings.model_fields[section].annotation
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        msg = f"section {section} of Settings is {annotation}, which is no model"
        raise TypeError(msg)
    return annotation


def setting_keys() -> tuple[SettingKey, ...]:
    """List every key.

    Returns:
        The keys in the order of the sections and fields.
    """
    return tuple(
        SettingKey(section, name, field)
        for section in Settings.model_fields
        for name, field in section_type(section).model_fields.items()
    )


def load_settings(
    flags: Mapping[str, Mapping[str, object]], config_file: Path | None, environ: Mapping[str, str]
) -> Settings:
    """Merge all sources and check the result.

    Args:
        flags: Values given on the command line, by section and name.
        config_file: YAML file with one mapping for each section; None reads none.
        environ: The environment; names without the prefix are ignored.

    Returns:
        The configuration.

    Raises:
        SettingsError: With every problem at once.
    """
    values, problems = _collect(flags, config_file, environ)
    sections: dict[str, BaseModel] = {}
    for section in Settings.model_fields:
        given = {
            key.name: values[key.key].value for key in setting_keys() if key.section == section if key.key in values
        }
        try:
            sections[section] = section_type(section).model_validate(given)
        except ValidationError as error:
            problems.extend(
                _value_problem(section, str(item["loc"][0]), values, item.get("ctx", {}).get("error"))
                for item in error.errors()
            )
    if problems:
        raise SettingsError(tuple(problems))
    return Settings.model_validate(sections)


def setting_sources(
    flags: Mapping[str, Mapping[str, object]], config_file: Path | None, environ: Mapping[str, str]
) -> Mapping[str, str]:
    """Say where each value comes from.

    Args:
        flags: As for `load_settings`.
        config_file: As for `load_settings`.
        environ: As for `load_settings`.

    Returns:
        By key: the flag, the name in the environment, ``FILE:LINE``, or ``default``.

    Raises:
        SettingsError: When a source has a name that nobody reads, or the file cannot be used.
    """
    values, problems = _collect(flags, config_file, environ)
    if problems:
        raise SettingsError(tuple(problems))
    return {key.key: values[key.key].source if key.key in values else DEFAULT_SOURCE for key in setting_keys()}


def _collect(
    flags: Mapping[str, Mapping[str, object]], config_file: Path | None, environ: Mapping[str, str]
) -> tuple[dict[str, _Value], list[str]]:
    """Merge the sources, the weakest first; the problems are about names, not about values."""
    problems: list[str] = []
    values: dict[str, _Value] = {}
    if config_file is not None:
        values |= _file_values(config_file, problems)
    values |= _environ_values(environ, problems)
    for key in setting_keys():
        if key.name in flags.get(key.section, {}):
            values[key.key] = _Value(flags[key.section][key.name], key.flag)
    return values, problems


def _environ_values(environ: Mapping[str, str], problems: list[str]) -> dict[str, _Value]:
    keys = {key.env: key for key in setting_keys()}
    problems.extend(
        f"{name} in the environment is no setting; {_suggestion(name, keys)}"
        for name in sorted(environ)
        if name.startswith(ENV_PREFIX) and name not in keys and not _SERVICE_LINK.fullmatch(name)
    )
    return {key.key: _Value(environ[name], name) for name, key in keys.items() if name in environ}


def _file_values(path: Path, problems: list[str]) -> dict[str, _Value]:
    text = read_text(path)
    root = text if isinstance(text, Finding) else compose_document(text, "a section, as in 'server:'")
    if isinstance(root, Finding):
        is_empty = isinstance(text, str) and not _CONTENT.search(text)
        problems.extend([] if is_empty else [_placed(path, root)])
        return {}
    reader = FieldReader()
    values: dict[str, _Value] = {}
    for section, entry in reader.root(root, tuple(Settings.model_fields)).entries.items():
        names = tuple(key.name for key in setting_keys() if key.section == section)
        table = reader.table(entry.value, names) if entry.value.has_value else None
        for name, member in table.entries.items() if table else ():
            if isinstance(member.value.node, yaml.ScalarNode):
                values[f"{section}.{name}"] = _Value(member.value.node.value, f"{path}:{member.key.line}")
            else:
                allowed = next(key.allowed for key in setting_keys() if (key.section, key.name) == (section, name))
                reader.report(member.value, f"{member.value.description}; it must be {allowed}")
    problems.extend(_placed(path, finding) for finding in reader.findings())
    return values


def _placed(path: Path, finding: Finding) -> str:
    place = f"{path}:{finding.line}" if finding.line else str(path)
    return f"{place}: {finding.field_path}: {finding.message}" if finding.field_path else f"{place}: {finding.message}"


def _value_problem(section: str, name: str, values: Mapping[str, _Value], needed: ValueError | None) -> str:
    """Say what is wrong with a value; `needed` is what a validator of the key says that it must be."""
    key = next(key for key in setting_keys() if (key.section, key.name) == (section, name))
    given = values[key.key]
    shown = str(given.value)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}…"
    return (
        f"{key.key} is {shown!r}, set by {given.source}; it must be {needed or key.allowed}. "
        f"Correct it, or remove it to get the default, {key.default or 'empty'}"
    )


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=_MIN_LIKENESS)
    return f"did you mean {close[0]}?" if close else "archrouter serve --help lists all settings"


def _bound(constraint: object) -> str:
    """Write a bound as people do: 0 rather than 0.0."""
    value = next(getattr(constraint, name) for name in ("ge", "gt", "le", "lt") if hasattr(constraint, name))
    return str(int(value) if value == int(value) else value)
