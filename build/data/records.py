"""A record: one labelled conversation, the policy set it is routed by, and where both come from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from archrouter.domain.conversation import Message, Role
from archrouter.domain.policy import NO_MATCH_ID, PolicySet, RoutePolicy
from archrouter.evaluation.dataset import PLACEHOLDER_MODEL, Granularity
from data.errors import DataError

UNKNOWN_LANGUAGE = "und"
"""ISO 639-2 code for a language that nobody determined."""

_POLICY_SET_ID = "inline"  # names of policy sets in a benchmark are no ids; nothing reads this one


class RecordError(DataError):
    """A record breaks a rule of the format; the text starts with its id."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, and for a user's message its label.

    Attributes:
        role: User or assistant.
        text: What was written; not blank.
        route: Id of the right route, or ``other``; None where none is known, and always for the assistant.
    """

    role: Role
    text: str
    route: str | None = None

    @property
    def is_no_match(self) -> bool:
        """Whether the right answer here is ``other``."""
        return self.route == NO_MATCH_ID

    @property
    def has_route(self) -> bool:
        """Whether the right answer here is a route of the policy set."""
        return self.route is not None and not self.is_no_match


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a record comes from.

    Attributes:
        source: Name of the collection its texts are from.
        license: SPDX name.
        origin: Where in the collection.
        language: ISO 639-1 code of what the user writes, ``und`` when not known.
        augmentations: Changes that made it, in their order; empty for a conversation as it was written.
        seed: What the changes were drawn with; None when there were none.
        sources: Ids of the records it was made from; empty for a conversation as it was written.
        further_json: JSON object of fields that are somebody else's; they are kept as they are.
    """

    source: str
    license: str
    origin: str
    language: str = UNKNOWN_LANGUAGE
    augmentations: tuple[str, ...] = ()
    seed: int | None = None
    sources: tuple[str, ...] = ()
    further_json: str = "{}"


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled conversation with all that routing it needs.

    Attributes:
        id: Unique in its folder.
        setting: The test it belongs to, and the name of its file.
        granularity: What its right answers are.
        policy_set: Name of the policy set.
        routes: The policies in their order.
        turns: Oldest first.
        provenance: Where it comes from.
    """

    id: str
    setting: str
    granularity: Granularity
    policy_set: str
    routes: tuple[RoutePolicy, ...]
    turns: tuple[Turn, ...]
    provenance: Provenance = field(default_factory=lambda: Provenance("unknown", "unknown", "unknown"))

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation without its labels."""
        return tuple(Message(turn.role, turn.text) for turn in self.turns)

    @property
    def labels(self) -> tuple[tuple[int, str], ...]:
        """Index and right answer of every labelled turn."""
        return tuple((index, turn.route) for index, turn in enumerate(self.turns) if turn.route is not None)

    @property
    def user_texts(self) -> tuple[str, ...]:
        """What the user wrote, oldest first."""
        return tuple(turn.text for turn in self.turns if turn.role is Role.USER)

    def as_policy_set(self) -> PolicySet:
        """Give the routes as the policy set that the service routes by, with placeholder models."""
        return PolicySet(_POLICY_SET_ID, self.policy_set, self.routes, (PLACEHOLDER_MODEL,))

    def route(self, route_id: str) -> RoutePolicy | None:
        """Look up a route; None for ``other`` and for ids that are not there."""
        return next((route for route in self.routes if route.id == route_id), None)

    def changed(
        self,
        augmentation: str,
        *,
        turns: Iterable[Turn] | None = None,
        routes: Iterable[RoutePolicy] | None = None,
        sources: Iterable[str] = (),
    ) -> Self:
        """Make another record and note how.

        Args:
            augmentation: Name of the change.
            turns: The new turns; None keeps them.
            routes: The new routes; None keeps them.
            sources: Ids of further records that were used.

        Returns:
            The new record, same id.
        """
        provenance = replace(
            self.provenance,
            augmentations=(*self.provenance.augmentations, augmentation),
            sources=tuple(dict.fromkeys((*self.provenance.sources, *sources))),
        )
        return replace(
            self,
            turns=self.turns if turns is None else tuple(turns),
            routes=self.routes if routes is None else tuple(routes),
            provenance=provenance,
        )


def user(text: str, route: str | None = None) -> Turn:
    """Make a user's turn."""
    return Turn(Role.USER, text, route)


def assistant(text: str) -> Turn:
    """Make an assistant's turn."""
    return Turn(Role.ASSISTANT, text)


def make_route(route_id: str, domain: str, action: str, description: str) -> RoutePolicy:
    """Make a policy; a benchmark asks for routes, so its model is a placeholder."""
    return RoutePolicy(route_id, domain, action, description, (PLACEHOLDER_MODEL,))


def check_structure(record: Record) -> None:
    """Hold a record to the rules that the benchmark's reader leaves open.

    Raises:
        RecordError: When roles do not alternate from user to user, or the assistant has a label.
    """
    roles = [turn.role for turn in record.turns]
    if roles != [Role.USER if index % 2 == 0 else Role.ASSISTANT for index in range(len(roles))] or len(roles) % 2 == 0:
        msg = f"{record.id}: messages must alternate, beginning and ending with the user's; these are {_shown(roles)}"
        raise RecordError(msg)
    if any(turn.route is not None and turn.role is not Role.USER for turn in record.turns):
        msg = f"{record.id}: an assistant's message has a label; only the user's are routed"
        raise RecordError(msg)


def granularity_of(routes: Iterable[RoutePolicy]) -> Granularity:
    """Say what the answers are where every route may be one: coarse when no route has an action."""
    return Granularity.FINE if any(route.action for route in routes) else Granularity.COARSE


def _shown(roles: Sequence[Role]) -> str:
    return ", ".join(role.value for role in roles) or "none"
