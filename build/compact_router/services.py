"""Reads the policy sets of made-up services as taxonomies: requests, threads, offers, and whole conversations."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self, TypeVar

import yaml
from compact_model.inputs import ASSISTANT, USER, Message
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from compact_router.taxonomy import OTHER, Action, Domain, Example, Taxonomy

_Content = TypeVar("_Content", bound=BaseModel)
_Document = TypeVar("_Document")

SERVICES = Path(__file__).parents[1] / "data" / "services"
CHATS = "chats"
"""Folder beside the services with whole conversations for them."""

LANGUAGES = "languages"
"""Folder beside them with what users and assistants would say in other languages, and how routes would be described: a
file for each, named by its ISO 639-1 code."""

HELD_OUT = "held_out"
"""Folder in it with what users of the services held out would say."""

TRANSLATED_COPIES = 4
"""How often a translated conversation is drawn as its original is: few have one."""

SOURCE = "services"
REST, SOCIAL = "rest", "social"

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]


class ServicesError(ValueError):
    """A file is not what it should be; the text starts with the file."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Action(_Part):
    name: Text
    texts: Texts
    asks: Texts
    threads: tuple[Texts, ...] = Field((), description="Conversations that end in a request that needs what is before.")
    offers: tuple[Texts, ...] = Field((), description="Conversations that end in an offer to do what is asked here.")


class _Domain(_Part):
    name: Text
    whole: Texts
    actions: Annotated[tuple[_Action, ...], Field(min_length=1)]
    rest: Text | None = Field(None, description="What its actions leave over, where a route takes that.")
    rest_asks: tuple[Text, ...] = ()


class _Service(_Part):
    set: Text
    about: Text
    domains: Annotated[tuple[_Domain, ...], Field(min_length=1)]
    other: Texts
    broad: bool = False
    held_out: bool = False


class _Chat(_Part):
    said: Texts = Field(description="A user's message, an assistant's, and so on; the last is a user's.")
    routes: Texts = Field(description="Of each user's message: `domain/action`, `domain/rest`, `other` or `social`.")

    @model_validator(mode="after")
    def _has_a_route_for_every_message_of_the_user(self) -> Self:
        if len(self.said) != 2 * len(self.routes) - 1:
            msg = f"{len(self.said)} messages, {len(self.routes)} routes; give each user's message one, the last too"
            raise ValueError(msg)
        return self


class _ChatsOfService(_Part):
    set: Text
    chats: Annotated[tuple[_Chat, ...], Field(min_length=1)]


_FILE, _CHAT_FILE = TypeAdapter(tuple[_Service, ...]), TypeAdapter(tuple[_ChatsOfService, ...])
_TRANSLATIONS = TypeAdapter(dict[Text, Text])


def read_services(folder: Path, *, is_held_out: bool = False) -> tuple[Taxonomy, ...]:
    """Read those services that are trained on, or those that are held out, in the order of their names.

    Raises:
        ServicesError: When a file is malformed, or a name is given twice.
    """
    services = sorted(_read(folder, _FILE), key=lambda each: each.set)
    for one, other in pairwise(services):
        if one.set == other.set:
            msg = f"{folder}: two sets are called {one.set!r}; rename one"
            raise ServicesError(msg)
    chats = defaultdict[str, list[_Chat]](list)
    for each in _read(folder / CHATS, _CHAT_FILE):
        chats[each.set] += each.chats
    if unknown := sorted(chats.keys() - {each.set for each in services}):
        msg = f"{folder / CHATS}: no set is called {unknown[0]!r}"
        raise ServicesError(msg)
    translations = read_translations(folder, is_held_out=is_held_out)
    return tuple(_taxonomy(each, chats[each.set], translations) for each in services if each.held_out == is_held_out)


def read_translations(folder: Path, *, is_held_out: bool = False) -> dict[str, dict[str, str]]:
    """Read texts in other languages: by the ISO 639-1 code of each, each original with its translation.

    Raises:
        ServicesError: When a file is malformed.
    """
    paths = sorted((folder / LANGUAGES / (HELD_OUT if is_held_out else "")).glob("*.yaml"))
    return {path.stem: _load(path, _TRANSLATIONS) for path in paths}


def _read(folder: Path, file: TypeAdapter[tuple[_Content, ...]]) -> Iterator[_Content]:
    for path in sorted(folder.glob("*.yaml")):
        yield from _load(path, file)


def _load(path: Path, file: TypeAdapter[_Document]) -> _Document:
    try:
        return file.validate_python(yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        msg = f"{path}: is not as it should be: {error}"
        raise ServicesError(msg) from error


def _taxonomy(service: _Service, chats: Sequence[_Chat], translations: Mapping[str, Mapping[str, str]]) -> Taxonomy:
    domains = tuple(
        Domain(
            domain.name,
            tuple(Action(domain.name, each.name, each.texts) for each in domain.actions),
            domain.whole,
            (domain.rest,) if domain.rest else (),
        )
        for domain in service.domains
    )
    written = (*_examples(service), *_examples_of_chats(service, chats))
    translated = tuple(_translated(written, translations)) * (1 if service.held_out else TRANSLATED_COPIES)
    examples = (*written, *translated)
    return Taxonomy(name=service.set, source=SOURCE, domains=domains, examples=examples, is_broad=service.broad)


def _examples(service: _Service) -> Iterator[Example]:
    for domain in service.domains:
        for action in domain.actions:
            said = [*((ask,) for ask in action.asks), *action.threads, *action.offers]
            for number, texts in enumerate(said):
                name = f"{service.set}/{domain.name}/{action.name}/{number}"
                yield Example(name, _messages(texts), domain.name, action.name)
        for number, ask in enumerate(domain.rest_asks):
            yield Example(f"{service.set}/{domain.name}/{number}", _messages((ask,)), domain.name)
    for number, ask in enumerate(service.other):
        yield Example(f"{service.set}/{OTHER}/{number}", _messages((ask,)), OTHER)


def _translated(examples: Sequence[Example], translations: Mapping[str, Mapping[str, str]]) -> Iterator[Example]:
    """Go through the conversations of which each message has a translation, with these instead of the originals."""
    for example in examples:
        for language, texts in translations.items():
            said = [texts[each.content] for each in example.messages if each.content in texts]
            if len(said) == len(example.messages):
                name = f"{example.conversation_id}/{language}"
                yield replace(example, conversation_id=name, messages=_messages(said), language=language)


def _examples_of_chats(service: _Service, chats: Sequence[_Chat]) -> Iterator[Example]:
    keys: dict[str, tuple[str, str | None]] = {OTHER: (OTHER, None), SOCIAL: (OTHER, None)}
    for domain in service.domains:
        keys |= {f"{domain.name}/{action.name}": (domain.name, action.name) for action in domain.actions}
        keys |= {f"{domain.name}/{REST}": (domain.name, None)} if domain.rest else {}
    for number, chat in enumerate(chats):
        for at, route in enumerate(chat.routes):
            if route not in keys:
                msg = f"{CHATS}: {service.set}: no route is called {route!r}; known are {', '.join(keys)}"
                raise ServicesError(msg)
            name, messages = f"{service.set}/{CHATS}/{number}", _messages(chat.said[: 2 * at + 1])
            yield Example(name, messages, *keys[route], is_social=route == SOCIAL)


def _messages(texts: Sequence[str]) -> tuple[Message, ...]:
    """Write what a user and an assistant said in turns."""
    return tuple(Message((USER, ASSISTANT)[at % 2], text) for at, text in enumerate(texts))
