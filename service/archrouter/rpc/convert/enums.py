"""The domain's enums and the wire's, value by value."""

from archrouter import v1
from archrouter.domain.conversation import Role
from archrouter.domain.decision import CandidateKind, Outcome, TurnKind
from archrouter.domain.findings import Severity
from archrouter.domain.scoring import Overflow, Tier
from archrouter.domain.warnings import WarningCode

ROLES = {
    v1.Role.ROLE_USER: Role.USER,
    v1.Role.ROLE_ASSISTANT: Role.ASSISTANT,
    v1.Role.ROLE_SYSTEM: Role.SYSTEM,
    v1.Role.ROLE_TOOL: Role.TOOL,
}
OVERFLOWS = {
    v1.OverflowBehavior.OVERFLOW_BEHAVIOR_UNSPECIFIED: Overflow.TRUNCATE,
    v1.OverflowBehavior.OVERFLOW_BEHAVIOR_TRUNCATE: Overflow.TRUNCATE,
    v1.OverflowBehavior.OVERFLOW_BEHAVIOR_REJECT: Overflow.REJECT,
}
TURN_KINDS = {
    v1.TurnKind.TURN_KIND_UNSPECIFIED: TurnKind.USER,
    v1.TurnKind.TURN_KIND_USER: TurnKind.USER,
    v1.TurnKind.TURN_KIND_TOOL_RESULT: TurnKind.TOOL_RESULT,
    v1.TurnKind.TURN_KIND_RETRY: TurnKind.RETRY,
}
OUTCOMES = {
    Outcome.MATCHED: v1.Outcome.OUTCOME_MATCHED,
    Outcome.DOMAIN_FALLBACK: v1.Outcome.OUTCOME_DOMAIN_FALLBACK,
    Outcome.NO_MATCH: v1.Outcome.OUTCOME_NO_MATCH,
    Outcome.LOW_CONFIDENCE: v1.Outcome.OUTCOME_LOW_CONFIDENCE,
}
TIERS = {Tier.ENGINE: v1.Tier.TIER_ENGINE, Tier.COMPACT: v1.Tier.TIER_COMPACT}
CANDIDATE_KINDS = {
    CandidateKind.ROUTE: v1.CandidateKind.CANDIDATE_KIND_ROUTE,
    CandidateKind.NO_MATCH: v1.CandidateKind.CANDIDATE_KIND_NO_MATCH,
}
WARNING_CODES = {
    WarningCode.CONVERSATION_TRUNCATED: v1.WarningCode.WARNING_CODE_CONVERSATION_TRUNCATED,
    WarningCode.MESSAGE_TRUNCATED: v1.WarningCode.WARNING_CODE_MESSAGE_TRUNCATED,
    WarningCode.MESSAGES_IGNORED: v1.WarningCode.WARNING_CODE_MESSAGES_IGNORED,
    WarningCode.LAST_MESSAGE_NOT_USER: v1.WarningCode.WARNING_CODE_LAST_MESSAGE_NOT_USER,
    WarningCode.POLICY_SET_STALE: v1.WarningCode.WARNING_CODE_POLICY_SET_STALE,
    WarningCode.CONFIDENCE_UNCALIBRATED: v1.WarningCode.WARNING_CODE_CONFIDENCE_UNCALIBRATED,
    WarningCode.ENGINE_UNAVAILABLE_COMPACT_USED: v1.WarningCode.WARNING_CODE_ENGINE_UNAVAILABLE_COMPACT_USED,
    WarningCode.ANSWER_OFF_POLICY: v1.WarningCode.WARNING_CODE_ANSWER_OFF_POLICY,
}
SEVERITIES = {Severity.ERROR: v1.Severity.SEVERITY_ERROR, Severity.WARNING: v1.Severity.SEVERITY_WARNING}
