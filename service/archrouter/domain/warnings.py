"""Warnings: a decision that can be used, and what its reader should know about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class WarningCode(Enum):
    """What a warning is about."""

    CONVERSATION_TRUNCATED = "conversation_truncated"
    MESSAGE_TRUNCATED = "message_truncated"
    MESSAGES_IGNORED = "messages_ignored"
    LAST_MESSAGE_NOT_USER = "last_message_not_user"
    POLICY_SET_STALE = "policy_set_stale"
    CONFIDENCE_UNCALIBRATED = "confidence_uncalibrated"
    ENGINE_UNAVAILABLE_COMPACT_USED = "engine_unavailable_compact_used"
    ANSWER_OFF_POLICY = "answer_off_policy"
    ROUTE_TICKET_IGNORED = "route_ticket_ignored"
    THRESHOLDS_STALE = "thresholds_stale"


@dataclass(frozen=True, slots=True)
class DecisionWarning:
    """One warning on a decision.

    Attributes:
        code: What it is about.
        message: One sentence for people; never holds text of the conversation.
        metadata: Every number of the message, as strings, for machines.
    """

    code: WarningCode
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
