"""The question the service answers, free of protobuf."""

from dataclasses import dataclass, field

from archrouter.domain.conversation import Message
from archrouter.domain.decision import DecisionRule
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import Overflow


@dataclass(frozen=True, slots=True)
class SelectRoute:
    """A request for one decision.

    Attributes:
        decision_id: Id under which the decision is known everywhere.
        messages: Oldest first; untrusted.
        policy_set_id: A loaded set; None with no inline set asks for the default.
        inline_policy_set: A valid set that travels with the request and is not loaded.
        rule: Request's thresholds and stickiness.
        overflow: What to do when the conversation is too long.
    """

    decision_id: str
    messages: tuple[Message, ...]
    policy_set_id: str | None = None
    inline_policy_set: PolicySet | None = None
    rule: DecisionRule = field(default_factory=DecisionRule)
    overflow: Overflow = Overflow.TRUNCATE
