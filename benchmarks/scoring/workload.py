"""Policy sets and conversations of any size, the same ones for the same seed."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import Random

from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy, derive_route_id

ACTIONS_PER_DOMAIN = 3
"""Routes that share a domain, so share the beginning of their ids: a branch below the root of the trie for each."""

TOPICS_FILE = Path(__file__).with_name("topics.toml")
_TARGET = (ModelTarget("vendor/model"),)


@dataclass(frozen=True, slots=True)
class Topics:
    """What routes and messages are drawn from.

    Attributes:
        actions: Action to the phrase its descriptions begin with.
        domains: Domain to the things people bring.
        user: Sentences of users, with the slot ``{item}``.
        assistant: Sentences of assistants, with the same slot.
    """

    actions: Mapping[str, str]
    domains: Mapping[str, tuple[str, ...]]
    user: tuple[str, ...]
    assistant: tuple[str, ...]

    @property
    def max_route_count(self) -> int:
        """Routes in the largest policy set that can be drawn."""
        return ACTIONS_PER_DOMAIN * len(self.domains)


def read_topics(path: Path = TOPICS_FILE) -> Topics:
    """Read the topics.

    Args:
        path: A TOML file of the shape of ``topics.toml``.

    Returns:
        The topics.
    """
    document = tomllib.loads(path.read_text("utf-8"))
    return Topics(
        actions=document["actions"],
        domains={name: tuple(items) for name, items in document["domains"].items()},
        user=tuple(document["sentences"]["user"]),
        assistant=tuple(document["sentences"]["assistant"]),
    )


def make_policy_set(topics: Topics, route_count: int, *, seed: int) -> PolicySet:
    """Draw a policy set.

    Args:
        topics: What to draw from.
        route_count: From 1 to `Topics.max_route_count`.
        seed: Another one gives other routes in another order.

    Returns:
        Routes ``<domain>_<action>``, `ACTIONS_PER_DOMAIN` of them a domain but for the last.
    """
    random = Random(f"policies {seed} {route_count}")  # noqa: S311  # reproducible data, not a secret
    domains = random.sample(sorted(topics.domains), -(-route_count // ACTIONS_PER_DOMAIN))
    pairs = [
        (domain, action) for domain in domains for action in random.sample(sorted(topics.actions), ACTIONS_PER_DOMAIN)
    ]
    routes = tuple(_route(topics, domain, action, random) for domain, action in pairs[:route_count])
    return PolicySet(f"routes-{route_count}", "", routes, _TARGET)


def make_conversation(topics: Topics, turn_count: int, *, seed: int) -> Conversation:
    """Draw a conversation.

    Args:
        topics: What to draw from.
        turn_count: User messages, >= 1.
        seed: Another one gives another conversation.

    Returns:
        User and assistant messages in turns, ending with the user's.
    """
    random = Random(f"conversation {seed} {turn_count}")  # noqa: S311  # reproducible data, not a secret
    items = [item for things in topics.domains.values() for item in things]
    roles = islice(cycle((Role.USER, Role.ASSISTANT)), 2 * turn_count - 1)
    messages = tuple(
        Message(role, random.choice(topics.user if role is Role.USER else topics.assistant).format(item=item))
        for role, item in zip(roles, random.choices(items, k=2 * turn_count - 1), strict=True)
    )
    return Conversation.from_messages(messages)


def _route(topics: Topics, domain: str, action: str, random: Random) -> RoutePolicy:
    """Write a route with about as many words as those of examples/policies."""
    *items, last = random.sample(topics.domains[domain], len(topics.domains[domain]))
    description = f"{topics.actions[action]} {domain} matters, such as {', '.join(items)} or {last}"
    return RoutePolicy(derive_route_id(domain, action), domain, action, description, _TARGET)
