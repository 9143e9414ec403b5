"""Reads the sources of the seed corpus: three YAML files for each policy set, and those of other languages."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from archrouter.domain.conversation import Role
from archrouter.domain.policy import RoutePolicy, derive_route_id
from data.errors import DataError
from data.records import Provenance, Record, Turn, granularity_of, make_route

POLICIES_SUFFIX = ".policies.yaml"
CONVERSATIONS_SUFFIX = ".conversations.yaml"
WORDINGS_SUFFIX = ".wordings.yaml"
LANGUAGES_FILE = "languages.yaml"
LANGUAGES_FOLDER = "languages"
SOURCE_NAME = "archrouter_seed"
LICENSE = "Apache-2.0"
DEFAULT_LANGUAGE = "en"


class SourceError(DataError):
    """A source file is not what it should be; the text starts with the file."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Action(_Strict):
    action: str = Field(min_length=1)
    description: str = Field(min_length=1)


class _Domain(_Strict):
    domain: str = Field(min_length=1)
    description: str | None = Field(None, min_length=1, description="Makes a policy that covers the domain.")
    actions: list[_Action] = Field(min_length=1)


class _Policies(_Strict):
    policy_set: str = Field(pattern=r"^[a-z0-9-]+$")
    description: str = Field(min_length=1)
    domains: list[_Domain] = Field(min_length=1)

    def routes(self) -> tuple[RoutePolicy, ...]:
        """Write the policies in the order of the file, a domain's own before its actions."""
        return tuple(
            make_route(derive_route_id(domain.domain, action), domain.domain, action, description)
            for domain in self.domains
            for action, description in (
                *([("", domain.description)] if domain.description else []),
                *((each.action, each.description) for each in domain.actions),
            )
        )


class _Message(_Strict):
    user: str | None = Field(None, min_length=1)
    assistant: str | None = Field(None, min_length=1)
    route: str | None = None

    @model_validator(mode="after")
    def _one_author(self) -> Self:
        if (self.user is None) == (self.assistant is None):
            msg = "a message has either 'user' or 'assistant'"
            raise ValueError(msg)
        if ("route" in self.model_fields_set) != (self.user is not None):
            msg = "a user's message has 'route', an id, 'other' or ~; an assistant's has none"
            raise ValueError(msg)
        return self

    def turn(self) -> Turn:
        """Give the message as a turn of a record."""
        if self.user is not None:
            return Turn(Role.USER, self.user, self.route)
        return Turn(Role.ASSISTANT, self.assistant or "")


class _Conversation(_Strict):
    id: str = Field(pattern=r"^[a-z0-9-]+$")
    messages: list[_Message] = Field(min_length=1)


class _Conversations(_Strict):
    policy_set: str
    conversations: list[_Conversation] = Field(min_length=1)


_Line = Annotated[dict[str, Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=1)]
"""A message: what is written, by its route or by ``assistant``."""


class _Language(RootModel[dict[str, list[_Line | list[_Line]]]]):
    """Conversations of many policy sets in one language; one of a single message may be written without a list."""


class _LanguageWordings(RootModel[dict[str, dict[str, str]]]):
    """Descriptions of all routes of some policy sets in one language."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A conversation before it has the routes of its policy set."""

    record_id: str
    origin: str
    language: str
    turns: tuple[Turn, ...]


_Model = TypeVar("_Model", bound=BaseModel)


def read_sources(directory: Path) -> dict[str, tuple[Record, ...]]:
    """Read the records of all policy sets, in the order of names; a conversation without any label is left out.

    Raises:
        SourceError: For the first thing that is wrong.
    """
    languages = _languages(directory / LANGUAGES_FILE)
    names = sorted(path.name.removesuffix(POLICIES_SUFFIX) for path in directory.glob(f"*{POLICIES_SUFFIX}"))
    if not names:
        msg = f"{directory}: no *{POLICIES_SUFFIX}; name the folder of the sources"
        raise SourceError(msg)
    further = _by_language(directory / LANGUAGES_FOLDER, names)
    records = {name: _read_set(directory, name, languages, further.get(name, ())) for name in names}
    unknown = sorted(languages.keys() - {record.id for group in records.values() for record in group})
    if unknown:
        msg = f"{directory / LANGUAGES_FILE}: there is no labelled conversation {unknown[0]!r}"
        raise SourceError(msg)
    return records


def read_source_wordings(directory: Path, records: Mapping[str, Sequence[Record]]) -> dict[str, dict[str, list[str]]]:
    """Read other descriptions of the same meaning, by policy set, then by route; English is first.

    Raises:
        SourceError: When a file does not give one text for each route.
    """
    wordings: dict[str, dict[str, list[str]]] = {
        name: {route.id: [] for route in group[0].routes} for name, group in records.items()
    }
    given = [(path, name, _load(path)) for name in records for path in (directory / f"{name}{WORDINGS_SUFFIX}",)]
    for path in sorted((directory / LANGUAGES_FOLDER / "wordings").glob("*.yaml")):
        given += [(path, name, document) for name, document in _parse(path, _LanguageWordings).root.items()]
    for path, name, document in given:
        texts = wordings.get(name)
        if texts is None or not isinstance(document, dict) or sorted(document) != sorted(texts):
            ids = ", ".join(texts or ())
            msg = (
                f"{path}: must give another wording for each of the routes {ids} of policy set {name}, and for no other"
            )
            raise SourceError(msg)
        for route_id, text in document.items():
            texts[route_id].append(str(text))
    return wordings


def _read_set(
    directory: Path, name: str, languages: Mapping[str, str], further: Sequence[_Written]
) -> tuple[Record, ...]:
    policies_path, path = directory / f"{name}{POLICIES_SUFFIX}", directory / f"{name}{CONVERSATIONS_SUFFIX}"
    policies = _parse(policies_path, _Policies)
    conversations = _parse(path, _Conversations)
    for source, stated in ((policies_path, policies.policy_set), (path, conversations.policy_set)):
        if stated != name:
            msg = f"{source}: policy_set is {stated!r}, but the file's name says {name!r}"
            raise SourceError(msg)
    routes = policies.routes()
    written = (
        _Written(record_id, path.name, languages.get(record_id, DEFAULT_LANGUAGE), turns)
        for conversation in conversations.conversations
        for record_id in (f"{name}/{conversation.id}",)
        for turns in (tuple(message.turn() for message in conversation.messages),)
    )
    return tuple(
        Record(
            id=each.record_id,
            setting=name,
            granularity=granularity_of(routes),
            policy_set=name,
            routes=routes,
            turns=each.turns,
            provenance=Provenance(source=SOURCE_NAME, license=LICENSE, origin=each.origin, language=each.language),
        )
        for each in (*written, *further)
        if any(turn.route is not None for turn in each.turns)
    )


def _by_language(folder: Path, names: Sequence[str]) -> dict[str, list[_Written]]:
    """Read conversations in other languages, by policy set; the file's name is the language, and numbers make ids."""
    found: dict[str, list[_Written]] = defaultdict(list)
    for path in sorted(folder.glob("*.yaml")):
        for name, conversations in _parse(path, _Language).root.items():
            if name not in names:
                msg = f"{path}: {name!r} is no policy set; the sets are {', '.join(names)}"
                raise SourceError(msg)
            for number, lines in enumerate(conversations, start=1):
                turns = tuple(_turn(line) for line in (lines if isinstance(lines, list) else [lines]))
                written = _Written(f"{name}/in-{path.stem}-{number}", f"{folder.name}/{path.name}", path.stem, turns)
                found[name].append(written)
    return found


def _turn(line: Mapping[str, str]) -> Turn:
    ((label, text),) = line.items()
    return Turn(Role.ASSISTANT, text) if label == Role.ASSISTANT.value else Turn(Role.USER, text, label)


def _languages(path: Path) -> dict[str, str]:
    """Read the languages, by conversation."""
    document = _load(path)
    if not isinstance(document, dict) or not all(isinstance(ids, list) for ids in document.values()):
        msg = f"{path}: must give a list of conversations for each language"
        raise SourceError(msg)
    return {str(record_id): str(language) for language, ids in document.items() for record_id in ids}


def _parse(path: Path, model: type[_Model]) -> _Model:
    try:
        return model.model_validate(_load(path))
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise SourceError(msg) from error


def _load(path: Path) -> object:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise SourceError(msg) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path}: is no YAML in UTF-8: {error}"
        raise SourceError(msg) from error
