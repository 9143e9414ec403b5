"""Reads the policy sets of made-up services, with requests, threads and offers for every route, as taxonomies."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import yaml
from compact_model.inputs import ASSISTANT, USER, Message
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from compact_router.taxonomy import OTHER, Action, Domain, Example, Taxonomy

SERVICES = Path(__file__).parents[1] / "data" / "services"
SOURCE = "services"

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


_FILE = TypeAdapter(tuple[_Service, ...])


def read_services(folder: Path, *, is_held_out: bool = False) -> tuple[Taxonomy, ...]:
    """Read those services that are trained on, or those that are held out, in the order of their names.

    Raises:
        ServicesError: When a file is malformed, or a name is given twice.
    """
    services = sorted((each for path in sorted(folder.glob("*.yaml")) for each in _read(path)), key=lambda it: it.set)
    for one, other in pairwise(services):
        if one.set == other.set:
            msg = f"{folder}: two sets are called {one.set!r}; rename one"
            raise ServicesError(msg)
    return tuple(_taxonomy(each) for each in services if each.held_out == is_held_out)


def _read(path: Path) -> tuple[_Service, ...]:
    try:
        return _FILE.validate_python(yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        msg = f"{path}: is no list of services: {error}"
        raise ServicesError(msg) from error


def _taxonomy(service: _Service) -> Taxonomy:
    domains = tuple(
        Domain(
            domain.name,
            tuple(Action(domain.name, each.name, each.texts) for each in domain.actions),
            domain.whole,
            (domain.rest,) if domain.rest else (),
        )
        for domain in service.domains
    )
    return Taxonomy(
        name=service.set, source=SOURCE, domains=domains, examples=tuple(_examples(service)), is_broad=service.broad
    )


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


def _messages(texts: Sequence[str]) -> tuple[Message, ...]:
    """Write what a user and an assistant said in turns."""
    return tuple(Message((USER, ASSISTANT)[at % 2], text) for at, text in enumerate(texts))
