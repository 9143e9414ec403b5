"""Which facts about a decision its reader is warned of."""

from collections.abc import Iterator

from archrouter.domain.conversation import Conversation
from archrouter.domain.scoring import Scoring
from archrouter.domain.warnings import DecisionWarning, WarningCode

OFF_POLICY_MASS = 0.5
"""Below this share of next-token mass on candidates, most of the model's belief lay outside every candidate."""


def decision_warnings(conversation: Conversation, scoring: Scoring, *, stale: bool) -> tuple[DecisionWarning, ...]:
    """Collect the warnings of one decision.

    Args:
        conversation: What was routed.
        scoring: How the model answered.
        stale: Whether the policy set's file has since become unusable.

    Returns:
        Warnings in the order of `WarningCode`.
    """
    return (*_input_warnings(conversation, scoring), *_answer_warnings(scoring, stale=stale))


def _input_warnings(conversation: Conversation, scoring: Scoring) -> Iterator[DecisionWarning]:
    usage = scoring.usage
    if usage.dropped_message_count:
        yield DecisionWarning(
            WarningCode.CONVERSATION_TRUNCATED,
            f"the {usage.dropped_message_count} oldest messages exceeded the model's limit and were not read",
            {
                "droppedMessageCount": str(usage.dropped_message_count),
                "droppedTokenCount": str(usage.dropped_token_count),
            },
        )
    elif usage.dropped_token_count:
        yield DecisionWarning(
            WarningCode.MESSAGE_TRUNCATED,
            f"{usage.dropped_token_count} tokens of the conversation exceeded the model's limit and were not read",
            {"droppedTokenCount": str(usage.dropped_token_count)},
        )
    if conversation.ignored_message_count:
        yield DecisionWarning(
            WarningCode.MESSAGES_IGNORED,
            f"{conversation.ignored_message_count} system or tool messages do not take part in routing",
            {"ignoredMessageCount": str(conversation.ignored_message_count)},
        )
    if not conversation.ends_with_user:
        yield DecisionWarning(
            WarningCode.LAST_MESSAGE_NOT_USER,
            "the last message is not from the user; the route follows the latest user message",
        )


def _answer_warnings(scoring: Scoring, *, stale: bool) -> Iterator[DecisionWarning]:
    if stale:
        yield DecisionWarning(
            WarningCode.POLICY_SET_STALE,
            "the policy file can no longer be used; the last good revision decided",
        )
    if not scoring.profile.calibration.is_fitted:
        yield DecisionWarning(
            WarningCode.CONFIDENCE_UNCALIBRATED,
            "no labelled conversations stand behind the confidence of this model version",
            {"modelVersion": scoring.profile.model_version},
        )
    if scoring.on_trie_mass < OFF_POLICY_MASS:
        yield DecisionWarning(
            WarningCode.ANSWER_OFF_POLICY,
            "most of the model's next-token mass lay outside every candidate",
            {"onTrieMass": f"{scoring.on_trie_mass:.6f}"},
        )
