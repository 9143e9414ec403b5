"""Where the values of the configuration come from: flags, the environment, a file, and defaults, in this order.

An unknown name is an error in each of them: a setting with a typo is a setting that silently does nothing.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel, BeforeValidator, PlainValidator, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from archrouter.config import CLIENT_TOKEN_ENV, ENV_PREFIX, Settings
from archrouter.domain.findings import Finding
from archrouter.strict_yaml.document import LocatedFinding, Reading, Table, read_table
from archrouter.strict_yaml.nodes import compose_document, read_text
from archrouter.strict_yaml.values import Scalar, UnreadableError, Value

DEFAULT_SOURCE = "default"

# Kubernetes puts these into every container of a namespace that has a service whose name begins with "archrouter",
# e.g. ARCHROUTER_SERVICE_HOST or ARCHROUTER_TRITON_PORT_8001_TCP_ADDR. They are no typos.
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
    """One key of the configuration: section, name, and the field with type, default, range and description."""

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
    """Return the model of a section of `Settings`."""
    annotation = Settings.model_fields[section].annotation
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        msg = f"section {section} of Settings is {annotation}, which is no model"
        raise TypeError(msg)
    return annotation


def setting_keys() -> tuple[SettingKey, ...]:
    """List every key, in the order of the sections and fields."""
    return tuple(
        SettingKey(section, name, field)
        for section in Settings.model_fields
        for name, field in section_type(section).model_fields.items()
    )


def load_settings(
    flags: Mapping[str, Mapping[str, object]], config_file: Path | None, environ: Mapping[str, str]
) -> Settings:
    """Merge flags, by section and name, the environment, a YAML file and the defaults, and check the result.

    Raises:
        SettingsError: With every problem at once.
    """
    values, problems = _collect(flags, config_file, environ)
    given: dict[str, dict[str, object]] = {section: {} for section in Settings.model_fields}
    for key in setting_keys():
        if key.key in values:
            given[key.section][key.name] = values[key.key].value
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError((*problems, *(_value_problem(item, values) for item in error.errors()))) from error
    if problems:
        raise SettingsError(tuple(problems))
    return settings


def setting_sources(
    flags: Mapping[str, Mapping[str, object]], config_file: Path | None, environ: Mapping[str, str]
) -> Mapping[str, str]:
    """Say where each value comes from, by key: the flag, the name in the environment, ``FILE:LINE``, or ``default``.

    The sources are those of `load_settings`; an unknown name is a `SettingsError` here too.
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
        if name.startswith(ENV_PREFIX) and name not in {*keys, CLIENT_TOKEN_ENV} and not _SERVICE_LINK.fullmatch(name)
    )
    return {key.key: _Value(environ[name], name) for name, key in keys.items() if name in environ}


def _file_values(path: Path, problems: list[str]) -> dict[str, _Value]:
    text = read_text(path)
    root = text if isinstance(text, Finding) else compose_document(text, "a section, as in 'server:'")
    if isinstance(root, Finding):
        is_empty = isinstance(text, str) and not _CONTENT.search(text)
        problems.extend([] if is_empty else [LocatedFinding(path, root).brief()])
        return {}
    reading = Reading()
    file = read_table(root, _file_table(), reading)
    problems.extend(LocatedFinding(path, finding).brief() for finding in reading.findings())
    values: dict[str, _Value] = {}
    for key in setting_keys():
        given: Scalar | None = getattr(getattr(file, key.section), key.name, None)
        if given:
            values[key.key] = _Value(given.word, f"{path}:{given.place.of_key().line}")
    return values


def _file_table() -> type[Table]:
    """Describe the configuration file: any word is a value here, since types are checked once for all sources."""
    sections: dict[str, Any] = {}  # types that are made here; pydantic takes them as they are
    for section in Settings.model_fields:
        keys: dict[str, Any] = {key.name: (_word_type(key), None) for key in setting_keys() if key.section == section}
        table = create_model(section, __base__=Table, **keys)
        sections[section] = (Annotated[table | None, BeforeValidator(_unless_empty)], None)
    return create_model("_File", __base__=Table, **sections)


def _unless_empty(value: Value) -> Value | None:
    return value if value.place.has_value else None


def _word_type(key: SettingKey) -> object:
    def as_word(value: Value) -> Scalar:
        if isinstance(value, Scalar):
            return value
        msg = f"{value.place.description}; it must be {key.allowed}"
        raise UnreadableError(msg)

    return Annotated[Scalar | None, PlainValidator(as_word)]


def _value_problem(error: ErrorDetails, values: Mapping[str, _Value]) -> str:
    """Say what is wrong with a value; a validator of the key says itself what it must be."""
    key = next(key for key in setting_keys() if (key.section, key.name) == error["loc"][:2])
    given = values[key.key]
    shown = str(given.value)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}…"
    needed = error.get("ctx", {}).get("error", key.allowed)
    return (
        f"{key.key} is {shown!r}, set by {given.source}; it must be {needed}. "
        f"Correct it, or remove it to get the default, {key.default or 'empty'}"
    )


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=_MIN_LIKENESS)
    return f"did you mean {close[0]}?" if close else "archrouter serve --help lists all settings"


def _bound(constraint: object) -> str:
    """Write a bound as people do: 0 rather than 0.0."""
    value = next(getattr(constraint, name) for name in ("ge", "gt", "le", "lt") if hasattr(constraint, name))
    return str(int(value) if value == int(value) else value)
