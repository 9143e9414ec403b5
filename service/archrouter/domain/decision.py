"""What a decision is made of: outcome, candidates, and the rule that it follows."""

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from archrouter.domain.policy import RoutePolicy


class Outcome(Enum):
    """What a decision says."""

    MATCHED = "matched"
    DOMAIN_FALLBACK = "domain_fallback"
    NO_MATCH = "no_match"
    LOW_CONFIDENCE = "low_confidence"


class CandidateKind(Enum):
    """What a candidate stands for."""

    ROUTE = "route"
    NO_MATCH = "no_match"


class TurnKind(Enum):
    """What made the caller ask: a new user turn, a tool's result, or a retry of the same turn."""

    USER = "user"
    TOOL_RESULT = "tool_result"
    RETRY = "retry"


class DecisionReason(Enum):
    """What made a decision; each is explained at its twin in decision.proto."""

    ROUTE_LEADS = "route_leads"
    NO_MATCH_LEADS = "no_match_leads"
    BELOW_THRESHOLD = "below_threshold"
    DOMAIN_SUM = "domain_sum"
    THRESHOLD_OF_REQUEST = "threshold_of_request"
    THRESHOLD_OF_ROUTE = "threshold_of_route"
    THRESHOLD_OF_POLICY_SET = "threshold_of_policy_set"
    THRESHOLD_OF_SERVER = "threshold_of_server"
    KEPT_FOR_TOOL_RESULT = "kept_for_tool_result"
    KEPT_FOR_RETRY = "kept_for_retry"
    KEPT_BY_SWITCH_MARGIN = "kept_by_switch_margin"
    ROUTE_TICKET = "route_ticket"
    COMPACT_SURE = "compact_sure"
    COMPACT_UNSURE = "compact_unsure"
    ENGINE_UNAVAILABLE = "engine_unavailable"


@dataclass(frozen=True, slots=True)
class Stickiness:
    """What keeps an agent loop from flipping between models; all of it comes with the request.

    Attributes:
        previous_route_id: Route of the conversation's last decision; empty when there is none. A route that the
            policy set no longer has is ignored.
        turn_kind: A tool result or a retry keeps the previous route.
        switch_margin: In [0, 1]. On a user turn another candidate takes over only when its probability leads the
            previous route's by at least this much; 0 always lets the leader win.
        route_ticket: Ticket of the conversation's last decision, in place of `previous_route_id`; untrusted, empty
            when there is none.
    """

    previous_route_id: str = ""
    turn_kind: TurnKind = TurnKind.USER
    switch_margin: float = 0.0
    route_ticket: str = ""


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """The thresholds of one decision.

    Attributes:
        min_confidence: Threshold of this request in [0, 1], over every other; None leaves it to the policies.
        default_min_confidence: Threshold in [0, 1] where neither request, route nor policy set has one.
        stickiness: Whether and when the previous route is kept.
    """

    min_confidence: float | None = None
    default_min_confidence: float = 0.0
    stickiness: Stickiness = field(default_factory=Stickiness)


@dataclass(frozen=True, slots=True)
class Choice:
    """What `decide` chose: the part of a decision that rests on probabilities alone.

    Attributes:
        outcome: What was decided.
        route: The chosen policy; None for NO_MATCH and LOW_CONFIDENCE.
        confidence: Calibrated probability in [0, 1] of what stands behind the outcome: the route (MATCHED), the
            mass of its domain (DOMAIN_FALLBACK), no match (NO_MATCH), or the best route that missed its threshold
            (LOW_CONFIDENCE).
        reasons: What made it, in the order in which it acted; never empty. A threshold follows what it was held
            against.
        kept: Whether stickiness kept the previous route.
    """

    outcome: Outcome
    route: RoutePolicy | None
    confidence: float
    reasons: tuple[DecisionReason, ...]
    kept: bool = False


class Candidate(NamedTuple):
    """One possible answer and its probability.

    Attributes:
        kind: A route, or no match.
        route_id: Id of the route; empty for no match.
        probability: Calibrated, in [0, 1].
        log_probability: Raw, natural log, before calibration, <= 0.
        exact: False where the value is an even share of a mass the model was not asked to split.
    """

    kind: CandidateKind
    route_id: str
    probability: float
    log_probability: float
    exact: bool
