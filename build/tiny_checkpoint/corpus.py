"""Toy routing examples: random small policy sets over made-up topics, and conversations about them."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

NO_MATCH = "other"
HELDOUT_SEED = 907
"""Another than training's; the latest user sentence of a held-out example is one that training never draws."""

TOPICS_FILE = Path(__file__).with_name("topics.toml")

# Shares of the examples. `other` must be as easy to meet as a route, or the model never answers it; the rest are
# matched evenly over one and several turns, because the rule to learn is that only the latest user message counts.
NO_MATCH_SHARE = 0.2
CHITCHAT_SHARE_OF_NO_MATCH = 0.4
SAME_DOMAIN_SHARE = 0.3
MIN_ROUTE_COUNT = 2
MAX_ROUTE_COUNT = 5
MAX_EARLIER_EXCHANGES = 2


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing a user can want, with the words policy sets and users have for it."""

    domain: str
    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    items: tuple[str, ...]
    messages: tuple[str, ...]
    heldout: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class World:
    """All topics, and the small talk that belongs to none."""

    topics: tuple[Topic, ...]
    chitchat: tuple[str, ...]
    replies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A route of a toy policy set."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a toy conversation."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """A policy set, a conversation and the name of the route that is right (``other`` for none)."""

    routes: tuple[Route, ...]
    conversation: tuple[Message, ...]
    route_name: str

    @property
    def candidate_names(self) -> tuple[str, ...]:
        """Every legal answer: the routes in policy order, then ``other``."""
        return (*(route.name for route in self.routes), NO_MATCH)


def load_world(path: Path = TOPICS_FILE) -> World:
    """Read the topics.

    Args:
        path: A TOML file of the shape of ``topics.toml``.

    Returns:
        The toy world.
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    topics = tuple(
        Topic(
            domain=entry["domain"],
            names=tuple(entry["names"]),
            descriptions=tuple(entry["descriptions"]),
            items=tuple(entry["items"]),
            messages=tuple(entry["messages"]),
            heldout=tuple(entry["heldout"]),
        )
        for entry in data["topic"]
    )
    return World(topics, tuple(data["chitchat"]["messages"]), tuple(data["chitchat"]["replies"]))


def make_example(world: World, random: Random, *, heldout: bool, max_route_count: int = MAX_ROUTE_COUNT) -> Example:
    """Draw one example.

    Args:
        world: The toy world.
        random: The seeded source of every choice.
        heldout: Whether the latest user message comes from the sentences no training example uses.
        max_route_count: The most routes in the policy set, at least ``MIN_ROUTE_COUNT``.

    Returns:
        The example.
    """
    in_set, outside = _draw_topics(world, random, random.randint(MIN_ROUTE_COUNT, max_route_count))
    routes = tuple(Route(random.choice(topic.names), random.choice(topic.descriptions)) for topic in in_set)
    answer_index = random.randrange(len(in_set))
    route_name = routes[answer_index].name
    latest = _user_text(in_set[answer_index], random, heldout=heldout)
    if random.random() < NO_MATCH_SHARE:
        route_name = NO_MATCH
        chitchat = random.random() < CHITCHAT_SHARE_OF_NO_MATCH
        latest = (
            random.choice(world.chitchat) if chitchat else _user_text(random.choice(outside), random, heldout=heldout)
        )
    earlier = _earlier_exchanges(world, in_set, random)
    return Example(routes, (*earlier, Message("user", latest)), route_name)


def _draw_topics(world: World, random: Random, count: int) -> tuple[list[Topic], list[Topic]]:
    """Draw the topics of a policy set; some sets put two topics of one domain next to each other's names."""
    first = random.choice(world.topics)
    siblings = [topic for topic in world.topics if topic.domain == first.domain and topic is not first]
    chosen = [first]
    if siblings and random.random() < SAME_DOMAIN_SHARE:
        chosen.append(random.choice(siblings))
    rest = [topic for topic in world.topics if topic not in chosen]
    random.shuffle(rest)
    missing_count = count - len(chosen)
    chosen += rest[:missing_count]
    random.shuffle(chosen)
    return chosen, rest[missing_count:]


def _user_text(topic: Topic, random: Random, *, heldout: bool) -> str:
    """Draw a sentence about a topic."""
    sentence = random.choice(topic.heldout if heldout else topic.messages)
    return sentence.format(item=random.choice(topic.items))


def _earlier_exchanges(world: World, in_set: list[Topic], random: Random) -> list[Message]:
    """Draw none, one or two earlier exchanges, each about any topic of the policy set."""
    messages: list[Message] = []
    for _ in range(random.choice((0, 0, *range(1, MAX_EARLIER_EXCHANGES + 1)))):
        messages.append(Message("user", _user_text(random.choice(in_set), random, heldout=False)))
        messages.append(Message("assistant", random.choice(world.replies)))
    return messages
