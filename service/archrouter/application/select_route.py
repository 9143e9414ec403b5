"""The question the service answers, free of protobuf, and how large it may be."""

from dataclasses import dataclass, field

from archrouter.domain.conversation import Message
from archrouter.domain.decision import DecisionRule
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import Overflow


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one request, each >= 1, from the configuration.

    Attributes:
        max_messages: Messages of one conversation.
        max_message_characters: Characters of one message.
        max_batch_size: Items of one batch.
        max_inline_routes: Routes of an inline policy set.
    """

    max_messages: int
    max_message_characters: int
    max_batch_size: int
    max_inline_routes: int


@dataclass(frozen=True, slots=True)
class SelectRoute:
    """A request for one decision.

    Attributes:
        decision_id: Id under which the decision is known everywhere.
        messages: Oldest first; untrusted.
        policy_set_id: A loaded set; None with no inline set asks for the default.
        inline_policy_set: A set that travels with the request; checked, but not loaded.
        rule: Request's thresholds and stickiness.
        overflow: What to do when the conversation is too long.
    """

    decision_id: str
    messages: tuple[Message, ...]
    policy_set_id: str | None = None
    inline_policy_set: PolicySet | None = None
    rule: DecisionRule = field(default_factory=DecisionRule)
    overflow: Overflow = Overflow.TRUNCATE
