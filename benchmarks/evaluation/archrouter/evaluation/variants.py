"""The same dataset under harder conditions: other route order, typos, other descriptions, more routes. Pure.

Every label stays right, and the same seed gives the same variant.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from random import Random

from archrouter.domain.conversation import Message, Role
from archrouter.domain.policy import MAX_DESCRIPTION_CHARACTERS, NO_MATCH_ID, PolicySet, RoutePolicy
from archrouter.evaluation.dataset import Dataset, LabelledConversation
from archrouter.evaluation.wording import reworded, with_typo

ROUTE_COUNTS = (5, 20, 50, 150)
"""Routes of a policy set in the runs with distractors."""

DEFAULT_SEED = 1

_SHARED_WORD = re.compile(r"[^\W_]{4,}")  # shorter words are mostly "of", "new", "get"


class Perturbation(Enum):
    """What a robustness run changes."""

    ROUTE_ORDER = "route-order"
    TYPOS = "typos"
    REWORDED = "reworded"
    DISTRACTORS = "distractors"


@dataclass(frozen=True, slots=True)
class Variant:
    """A dataset to run beside the plain one.

    Attributes:
        name: Of the perturbation; with distractors, also how many routes were asked for.
        dataset: Its turns are turns of the plain dataset, by conversation and index.
    """

    name: str
    dataset: Dataset

    @property
    def mean_route_count(self) -> float:
        """Routes a turn chooses from, in the mean over the labelled turns, > 0."""
        sizes = {name: len(policy_set.routes) for name, policy_set in self.dataset.policy_sets.items()}
        total = sum(sizes[one.policy_set] * len(one.labels) for one in self.dataset.conversations)
        return total / self.dataset.turn_count


def make_variants(
    perturbations: Sequence[Perturbation], dataset: Dataset, policy_sets: Mapping[str, PolicySet], seed: int
) -> Iterator[Variant]:
    """Make the variants one by one.

    Args:
        perturbations: Which.
        dataset: The plain dataset.
        policy_sets: All policy sets of the folder; distractors are taken from them.
        seed: Of every random choice.

    Yields:
        A variant for each perturbation, and with distractors one for each of `ROUTE_COUNTS`; a variant that has no turn
        is left out.
    """
    simple: dict[Perturbation, Callable[[Dataset, int], Dataset]] = {
        Perturbation.ROUTE_ORDER: _shuffled,
        Perturbation.TYPOS: _with_typos,
        Perturbation.REWORDED: _reworded,
    }
    for perturbation in perturbations:
        if perturbation in simple:
            yield Variant(perturbation.value, simple[perturbation](dataset, seed))
            continue
        routed = _without_other(dataset)
        for count in ROUTE_COUNTS if routed.conversations else ():
            yield Variant(f"{perturbation.value}-{count}", _with_route_count(routed, policy_sets, count, seed))


def _shuffled(dataset: Dataset, seed: int) -> Dataset:
    """Put the routes of each policy set in another order."""

    def shuffle(name: str, policy_set: PolicySet) -> PolicySet:
        routes = list(policy_set.routes)
        _random(seed, "route-order", name).shuffle(routes)
        return _with_routes(policy_set, routes)

    return Dataset(dataset.conversations, {name: shuffle(name, one) for name, one in dataset.policy_sets.items()})


def _with_typos(dataset: Dataset, seed: int) -> Dataset:
    """Put one typo in each message of a user. All turns of a conversation see the same typos."""

    def mistype(conversation: LabelledConversation) -> LabelledConversation:
        random = _random(seed, "typos", conversation.id)
        messages = tuple(
            Message(message.role, with_typo(message.content, random)) if message.role is Role.USER else message
            for message in conversation.messages
        )
        return replace(conversation, messages=messages)

    return Dataset(tuple(mistype(one) for one in dataset.conversations), dataset.policy_sets)


def _reworded(dataset: Dataset, _seed: int) -> Dataset:
    """Reword every description; the rule is `reworded`, nothing is drawn."""

    def reword(route: RoutePolicy) -> RoutePolicy:
        text = reworded(route.description)
        return replace(route, description=text) if len(text) <= MAX_DESCRIPTION_CHARACTERS else route

    return Dataset(
        dataset.conversations,
        {name: _with_routes(one, [reword(route) for route in one.routes]) for name, one in dataset.policy_sets.items()},
    )


def _without_other(dataset: Dataset) -> Dataset:
    """Leave the turns out that no policy covers: a distractor may cover what they ask for."""
    conversations = []
    for conversation in dataset.conversations:
        labels = tuple(label for label in conversation.labels if label.route != NO_MATCH_ID)
        if labels:
            conversations.append(replace(conversation, labels=labels))
    return Dataset(tuple(conversations), dataset.policy_sets)


def _with_route_count(dataset: Dataset, policy_sets: Mapping[str, PolicySet], route_count: int, seed: int) -> Dataset:
    """Bring every policy set to a number of routes.

    A larger set keeps the routes that are right somewhere in the conversation and draws the rest of its own, so each
    conversation has its own set. A smaller one keeps all its routes and gets distractors behind them, as many as there
    are; a larger number of routes has the distractors of a smaller one, and more.
    """
    conversations, resized = [], dict[str, PolicySet]()
    for conversation in dataset.conversations:
        name = conversation.policy_set
        own = dataset.policy_sets[name]
        if len(own.routes) > route_count:
            name = f"{name}/{conversation.id}"
            resized[name] = _reduced(own, conversation, route_count, _random(seed, "routes", name))
        elif name not in resized:
            others = _distractors(own, policy_sets)
            _random(seed, "distractors", name).shuffle(others)
            resized[name] = _with_routes(own, [*own.routes, *others[: route_count - len(own.routes)]])
        conversations.append(replace(conversation, policy_set=name))
    return Dataset(tuple(conversations), resized)


def _reduced(own: PolicySet, conversation: LabelledConversation, route_count: int, random: Random) -> PolicySet:
    kept = {label.route for label in conversation.labels}
    others = [route.id for route in own.routes if route.id not in kept]
    kept.update(random.sample(others, max(0, route_count - len(kept))))
    return _with_routes(own, [route for route in own.routes if route.id in kept])


def _distractors(own: PolicySet, policy_sets: Mapping[str, PolicySet]) -> list[RoutePolicy]:
    """Find routes that have no word of domain or id in common with any route of a policy set.

    They may still mean the same in other words, so some of what distractors cost is really a second right answer.
    """
    own_words = {word for route in own.routes for word in _words(route)}
    others: dict[str, RoutePolicy] = {}
    for name in sorted(policy_sets):
        for route in policy_sets[name].routes:
            if not own_words & _words(route):
                others.setdefault(route.id, route)
    own_ids = {route.id for route in own.routes}
    return [route for route in others.values() if route.id not in own_ids]


def _words(route: RoutePolicy) -> set[str]:
    return set(_SHARED_WORD.findall(f"{route.domain} {route.id}".casefold()))


def _with_routes(policy_set: PolicySet, routes: Sequence[RoutePolicy]) -> PolicySet:
    return PolicySet(
        policy_set.id, policy_set.description, tuple(routes), policy_set.fallback_models, policy_set.min_confidence
    )


def _random(seed: int, *purpose: str) -> Random:
    """Draw independently for each purpose: what one draws does not change what another does."""
    return Random("/".join([str(seed), *purpose]))  # noqa: S311 - reproducible data, not a secret
