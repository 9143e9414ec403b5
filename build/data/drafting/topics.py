"""The topic pool, and the draw of topics from it."""

import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.drafting.errors import SetupError

POOL = Path(__file__).with_name("topics.toml")


@dataclass(frozen=True, slots=True)
class Topic:
    """Something people ask about.

    Attributes:
        domain: Name of the domain its policies get; snake_case, unique in the pool.
        kind: Where the idea comes from: an industry, a subject of study, or a family of APIs.
        scope: What belongs to it, in a few words.
    """

    domain: str
    kind: str
    scope: str


class _Kind(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str = Field(min_length=1)
    topics: dict[str, str] = Field(min_length=1)


class _Pool(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kinds: list[_Kind] = Field(min_length=1)


def read_topics(path: Path = POOL) -> tuple[Topic, ...]:
    """Read a topic pool: ``[[kinds]]``, each with a ``kind`` and ``topics`` from domain to scope.

    Raises:
        SetupError: When the file is no pool, or a domain occurs twice.
    """
    try:
        pool = _Pool.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        msg = f"{path}: is no topic pool: {error}"
        raise SetupError(msg) from error
    topics = tuple(Topic(domain, kind.kind, scope) for kind in pool.kinds for domain, scope in kind.topics.items())
    domains = [topic.domain for topic in topics]
    for domain in domains:
        if domains.count(domain) > 1 or not _is_name(domain):
            msg = f"{path}: the domain {domain!r} occurs twice or is not snake_case; rename it"
            raise SetupError(msg)
    return topics


def draw_topics(pool: tuple[Topic, ...], count: int, seed: int) -> tuple[Topic, ...]:
    """Draw topics, the kinds in turn, so that a small draw is as mixed as a large one.

    The same seed draws the same topics, and a larger count only adds to them. Neighbours, which share a policy set, are
    of different kinds where possible.

    Raises:
        SetupError: When the pool is too small.
    """
    if count > len(pool):
        msg = f"amounts.topics is {count}, but the pool has {len(pool)}; lower it, or name a larger pool with --topics"
        raise SetupError(msg)
    by_kind: dict[str, list[Topic]] = defaultdict(list)
    for topic in pool:
        by_kind[topic.kind].append(topic)
    for kind, topics in by_kind.items():
        Random(f"{seed}/{kind}").shuffle(topics)  # noqa: S311  # reproducible data, not a secret
    rounds = max(len(topics) for topics in by_kind.values())
    order = [topics[index] for index in range(rounds) for topics in by_kind.values() if index < len(topics)]
    return tuple(order[:count])


def _is_name(domain: str) -> bool:
    return domain.isascii() and domain.isidentifier() and domain == domain.lower()
