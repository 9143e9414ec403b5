"""Candidates of a policy set before they are written, and conversations with their right answer in it."""

from dataclasses import dataclass

from compact_model.inputs import Message

from compact_router.talk import ENGLISH, PLAIN
from compact_router.taxonomy import Action, Domain, Unit


@dataclass(frozen=True, slots=True)
class Turn:
    """A conversation and its right answer in a policy set.

    Attributes:
        conversation_id: Where it is from.
        messages: Oldest first, the last one the user's.
        label: Index of the right candidate; the number of candidates for no match.
        source: Of the taxonomy that the conversation is from.
        kind: What was made of it: the way in which a request is dressed, or the shape of the conversation.
        language: ISO 639-1 code of what the user asks in.
    """

    conversation_id: str
    messages: tuple[Message, ...]
    label: int
    source: str
    kind: str = PLAIN
    language: str = ENGLISH


@dataclass(frozen=True, slots=True)
class Slot:
    """A candidate before it is written.

    Attributes:
        unit: Its domain.
        domain: The same with its actions.
        action: None for the domain's own route.
        is_whole: Whether the domain's own route stands for all of its requests.
    """

    unit: Unit
    domain: Domain
    action: Action | None
    is_whole: bool

    @property
    def gist(self) -> str:
        """All that it covers, to compare words."""
        if self.action is not None:
            return f"{self.domain.name} {self.action.name} {self.action.descriptions[0]}"
        actions = (action.descriptions[0] for action in self.domain.actions)
        return " ".join((self.domain.name, *self.domain.wholes[:1], *actions))
