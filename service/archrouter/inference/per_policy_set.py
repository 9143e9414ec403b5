"""What both kinds of model keep: the warm-up question, and what was made for a policy set."""

from collections import OrderedDict
from typing import Generic, TypeVar

from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.scoring import ScoringRequest

Made = TypeVar("Made")

INLINE_CAPACITY = 64
"""Revisions of inline sets remembered: some hundred kilobytes each for a large set and a language model."""

WARM_UP = ScoringRequest(
    policy_set=PolicySet(
        id="warm-up",
        description="",
        routes=(RoutePolicy("greeting", "", "greeting", "The user says hello", ()),),
        fallback_models=(),
    ),
    conversation=Conversation((Message(Role.USER, "hello"),), ignored_message_count=0, ends_with_user=True),
)
"""The smallest real question: it proves that the model answers."""


class PerPolicySet(Generic[Made]):
    """Values by policy-set revision: those of served sets are held, those of inline sets until others crowd them out.

    For one event loop; not thread-safe.

    Attributes:
        held: By revision; a sender of inline sets cannot push any of them out.
    """

    def __init__(self, inline_capacity: int = INLINE_CAPACITY) -> None:
        """Start empty; of `inline_capacity` values that are not held, >= 1, the one used least recently makes room."""
        self._inline_capacity = inline_capacity
        self.held: dict[str, Made] = {}
        self._inline: OrderedDict[str, Made] = OrderedDict()

    def get(self, policy_set: PolicySet) -> Made | None:
        """Look up what was made for a set, and remember that it was used."""
        value = self.held.get(policy_set.revision)
        if value is None and (value := self._inline.get(policy_set.revision)) is not None:
            self._inline.move_to_end(policy_set.revision)
        return value

    def put(self, policy_set: PolicySet, value: Made) -> Made:
        """Keep a value for as long as there is room."""
        self._inline[policy_set.revision] = value
        self._inline.move_to_end(policy_set.revision)
        if len(self._inline) > self._inline_capacity:
            self._inline.popitem(last=False)
        return value

    def hold(self, policy_set: PolicySet, value: Made) -> None:
        """Keep a value until `release`."""
        self._inline.pop(policy_set.revision, None)
        self.held[policy_set.revision] = value

    def release(self, policy_set: PolicySet) -> None:
        """Forget a value that was held."""
        self.held.pop(policy_set.revision, None)
