"""The question the service answers and the answer it gives, free of protobuf."""

from dataclasses import dataclass, field

from archrouter.domain.conversation import Message
from archrouter.domain.decision import Candidate, DecisionReason, DecisionRule, Outcome
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.scoring import BackendProfile, Overflow, Usage
from archrouter.domain.warnings import DecisionWarning


@dataclass(frozen=True, slots=True)
class SelectRoute:
    """A request for one decision.

    Attributes:
        decision_id: Id under which the decision is known everywhere.
        messages: Oldest first; untrusted.
        policy_set_id: A loaded set; None with no inline set asks for the default.
        inline_policy_set: A valid set that travels with the request and is not loaded.
        policy_set_revision: The revision that must decide; empty takes the active one.
        rule: Request's thresholds and stickiness.
        overflow: What to do when the conversation is too long.
        explain: Whether the decision is to be explained, which takes several times as long.
    """

    decision_id: str
    messages: tuple[Message, ...]
    policy_set_id: str | None = None
    inline_policy_set: PolicySet | None = None
    policy_set_revision: str = ""
    rule: DecisionRule = field(default_factory=DecisionRule)
    overflow: Overflow = Overflow.TRUNCATE
    explain: bool = False


@dataclass(frozen=True, slots=True)
class DecisionTimes:
    """Where the time of one decision went, in seconds >= 0."""

    total_s: float
    tokenize_s: float
    queue_s: float
    inference_s: float


@dataclass(frozen=True, slots=True)
class MessageEffect:
    """What a decision would have been without one message.

    Attributes:
        message_index: Index in the messages of the request.
        probability_change: What the message adds to the probability behind the decision, in [-1, 1].
        changes_leader: Whether another candidate leads without it.
    """

    message_index: int
    probability_change: float
    changes_leader: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why this candidate and not another.

    Attributes:
        runner_up: The most probable candidate that was not chosen.
        lead: Confidence less the runner-up's probability, in [-1, 1].
        message_effects: In the order of the conversation; fewer than asked for where the time was too short.
        deciding_message_index: The message without which the decision changes, or loses most; None when there is none.
    """

    runner_up: Candidate
    lead: float
    message_effects: tuple[MessageEffect, ...]
    deciding_message_index: int | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer.

    Attributes:
        decision_id: Id under which it is known everywhere.
        outcome: What was decided.
        route: The chosen policy; None for NO_MATCH and LOW_CONFIDENCE.
        models: Models to use, best first; the set's fallback where no route was chosen. Never empty.
        confidence: Calibrated probability of what stands behind the outcome, in [0, 1].
        candidates: Every candidate, most probable first; ties in policy order, no match last.
        policy_set: The set that decided.
        inline: Whether the set came with the request.
        profile: The model that decided.
        kept: Whether stickiness kept the previous route.
        reasons: What made it, in the order in which it acted: the tier's, then the choice's. Never empty.
        warnings: What the reader should know.
        usage: What the decision cost.
        times: Where the time went.
        route_ticket: What the decision means for the conversation's next one; empty where no route was chosen.
        rule: What was followed.
        explanation: Only where the request asked for it.
    """

    decision_id: str
    outcome: Outcome
    route: RoutePolicy | None
    models: tuple[ModelTarget, ...]
    confidence: float
    candidates: tuple[Candidate, ...]
    policy_set: PolicySet
    inline: bool
    profile: BackendProfile
    kept: bool
    reasons: tuple[DecisionReason, ...]
    warnings: tuple[DecisionWarning, ...]
    usage: Usage
    times: DecisionTimes
    route_ticket: str = ""
    rule: DecisionRule = field(default_factory=DecisionRule)
    explanation: Explanation | None = None

    @property
    def route_id(self) -> str:
        """Id of the chosen policy; empty where none was chosen."""
        return self.route.id if self.route else ""
