"""What the router learns from: taxonomies of routes, and conversations whose right route is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from compact_model.inputs import ASSISTANT, Message

OTHER = "other"
"""Label of a turn that no route of its taxonomy fits."""

OWN = "own"
"""Source of the project's own corpus."""


@dataclass(frozen=True, slots=True)
class Action:
    """One kind of request.

    Attributes:
        domain: Its domain's name.
        name: Its own name, never empty.
        descriptions: What it covers, in one or more wordings.
    """

    domain: str
    name: str
    descriptions: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Domain and name: unique in a taxonomy."""
        return self.domain, self.name


@dataclass(frozen=True, slots=True)
class Domain:
    """A subject with its kinds of request.

    Attributes:
        name: Unique in its taxonomy.
        actions: At least one.
        wholes: Descriptions of all its requests together, for policy sets that name domains only; may be empty.
        rests: Descriptions of what its actions leave over, for a route beside them; may be empty.
    """

    name: str
    actions: tuple[Action, ...]
    wholes: tuple[str, ...] = ()
    rests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation up to a user's message, and what that message asks for.

    Attributes:
        conversation_id: Shared by the turns of one conversation.
        messages: Oldest first; the last one is the user's, or an assistant's offer that is to be taken up.
        domain: Of the right route; ``OTHER`` where no route of the taxonomy fits.
        action: Of the right route; None where no action of the domain fits, or where it is not known which.
        is_known_exactly: False where only the domain is known, so that it cannot be held against actions.
        is_social: Whether it is thanks, a greeting or a goodbye, and therefore fits no route of any taxonomy.
        language: ISO 639-1 code of what the user writes.
    """

    conversation_id: str
    messages: tuple[Message, ...]
    domain: str
    action: str | None = None
    is_known_exactly: bool = True
    is_social: bool = False
    language: str = "en"

    @property
    def is_offer(self) -> bool:
        """Whether it ends in an offer; who takes it up asks for its route."""
        return self.messages[-1].role == ASSISTANT


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Domains that were written together, with conversations labelled by them.

    Attributes:
        name: Unique.
        source: What it is weighed with.
        domains: At least one.
        examples: Labelled turns.
        stand_ins: Groups of actions, ``(domain, action)``, of which one may do when another is gone.
        is_broad: Whether it has a route for almost any request, so that it is mixed with no other.
    """

    name: str
    source: str
    domains: tuple[Domain, ...]
    examples: tuple[Example, ...]
    stand_ins: tuple[frozenset[tuple[str, str]], ...] = field(default=())
    is_broad: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """A domain of a taxonomy: the smallest part that is held out of training.

    Attributes:
        taxonomy: Its taxonomy's name.
        domain: Its name there.
    """

    taxonomy: str
    domain: str


def units_of(taxonomies: Sequence[Taxonomy]) -> Iterator[tuple[Unit, Domain]]:
    """List every domain with its unit."""
    for taxonomy in taxonomies:
        for domain in taxonomy.domains:
            yield Unit(taxonomy.name, domain.name), domain
