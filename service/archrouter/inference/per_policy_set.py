"""What both backends share: the warm-up question, and a bounded memory of what was made for a policy set."""

from collections import OrderedDict
from typing import Generic, TypeVar

from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.policy import PolicySet, RoutePolicy
from archrouter.domain.scoring import ScoringRequest

Made = TypeVar("Made")

CAPACITY = 64
"""Policy-set revisions remembered: some hundred kilobytes each for a large set and a language model."""

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
    """Least-recently-used values by policy-set revision. For one event loop; not thread-safe."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Start empty.

        Args:
            capacity: Values kept, >= 1.
        """
        self._capacity = capacity
        self._values: OrderedDict[str, Made] = OrderedDict()

    def get(self, policy_set: PolicySet) -> Made | None:
        """Look up what was made for a set, and remember that it was used."""
        value = self._values.get(policy_set.revision)
        if value is not None:
            self._values.move_to_end(policy_set.revision)
        return value

    def put(self, policy_set: PolicySet, value: Made) -> Made:
        """Keep a value, in place of the one that was used least recently where there is no room."""
        self._values[policy_set.revision] = value
        self._values.move_to_end(policy_set.revision)
        if len(self._values) > self._capacity:
            self._values.popitem(last=False)
        return value
