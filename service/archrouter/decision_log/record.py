"""What the log keeps of a decision. ``docs/decision_log.md`` says what each field means."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from archrouter.application.explanation import chosen_candidate
from archrouter.application.select_route import Decision, SelectRoute
from archrouter.domain.conversation import Message
from archrouter.domain.decision import Candidate, DecisionRule

FORMAT_VERSION: Final = 1
"""Grows when a field goes or changes its meaning; new fields come without."""

LOGGED_CANDIDATES = 5
"""The most probable ones: enough to see what a decision was torn between; the rest is noise in every line."""

TextMode = Literal["none", "hash", "text"]
"""How much of a conversation is kept: nothing, its keyed digest, or its text as well."""


class _Record(BaseModel):
    """Part of a line; keys of later releases are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class CandidateRecord(_Record):
    """A candidate; the empty id is no match."""

    route_id: str
    probability: float


class RuleRecord(_Record):
    """What was followed: what the request said, and its ticket."""

    min_confidence: float | None
    turn_kind: str
    previous_route_id: str
    switch_margin: float


class UsageRecord(_Record):
    """What the decision cost, in counts."""

    prompt_token_count: int
    engine_call_count: int
    cached_token_count: int
    dropped_message_count: int
    dropped_token_count: int


class DurationsRecord(_Record):
    """Where the time went, in seconds."""

    total_s: float
    tokenize_s: float
    queue_s: float
    inference_s: float


class MessageRecord(_Record):
    """One message, where the log keeps text."""

    role: str
    content: str


class ConversationRecord(_Record):
    """What is kept of the conversation; `digest` is empty and `messages` None where the log keeps none."""

    message_count: int
    digest: str = ""
    messages: tuple[MessageRecord, ...] | None = None


class ShadowRecord(_Record):
    """The same question decided again beside the call, by other policies or another tier."""

    policy_set_revision: str
    model_version: str
    tier: str
    outcome: str
    route_id: str
    models: tuple[str, ...]
    confidence: float


class DecisionRecord(_Record):
    """One line of the log."""

    version: Literal[1] = FORMAT_VERSION
    time: datetime
    decision_id: str
    correlation_id: str
    caller: str
    policy_set: str
    policy_set_revision: str
    inline: bool
    model_version: str
    tier: str
    outcome: str
    route_id: str
    models: tuple[str, ...]
    confidence: float
    kept: bool
    runner_up: CandidateRecord
    lead: float
    candidates: tuple[CandidateRecord, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    rule: RuleRecord
    usage: UsageRecord
    durations: DurationsRecord
    conversation: ConversationRecord
    shadow: ShadowRecord | None = None


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A decision on its way into the log.

    Attributes:
        time: When it was made, UTC.
        question: What was asked.
        decision: What was answered.
        caller: Name of the credential; empty for an open server.
        correlation_id: The caller's own id; may be empty.
        shadow: What was decided of it beside the call; None where nobody did.
    """

    time: datetime
    question: SelectRoute
    decision: Decision
    caller: str
    correlation_id: str
    shadow: Decision | None = None


def record_of(logged: LoggedDecision, text: TextMode, salt: bytes) -> DecisionRecord:
    """Make the line of a decision.

    Args:
        logged: The decision.
        text: How much of the conversation is kept.
        salt: Key of the digest; unused for ``none``.

    Returns:
        The line. O(text of the conversation) for its digest.
    """
    decision, question = logged.decision, logged.question
    chosen = chosen_candidate(decision.candidates, decision.outcome, decision.route)
    runner_up = next(one for one in decision.candidates if one is not chosen)
    return DecisionRecord(
        time=logged.time,
        decision_id=decision.decision_id,
        correlation_id=logged.correlation_id,
        caller=logged.caller,
        policy_set=decision.policy_set.id,
        policy_set_revision=decision.policy_set.revision,
        inline=decision.inline,
        model_version=decision.profile.model_version,
        tier=decision.profile.tier.value,
        outcome=decision.outcome.value,
        route_id=decision.route_id,
        models=tuple(target.model for target in decision.models),
        confidence=decision.confidence,
        kept=decision.kept,
        runner_up=_candidate(runner_up),
        lead=decision.confidence - runner_up.probability,
        candidates=tuple(_candidate(one) for one in decision.candidates[:LOGGED_CANDIDATES]),
        reasons=tuple(reason.value for reason in decision.reasons),
        warnings=tuple(warning.code.value for warning in decision.warnings),
        rule=_rule(decision.rule),
        usage=UsageRecord.model_validate(decision.usage, from_attributes=True),
        durations=DurationsRecord.model_validate(decision.times, from_attributes=True),
        conversation=_conversation(question.messages, text, salt),
        shadow=_shadow(logged.shadow) if logged.shadow else None,
    )


def digest_of(messages: Sequence[Message], salt: bytes) -> str:
    """Digest a conversation: equal ones are found, and none can be guessed without the salt; 64 hexadecimal digits.

    Each part is preceded by its length, so that no two conversations give the same bytes.
    """
    digest = hmac.new(salt, digestmod="sha256")
    for message in messages:
        for part in (message.role.value.encode(), message.content.encode("utf-8", errors="surrogatepass")):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def _candidate(candidate: Candidate) -> CandidateRecord:
    return CandidateRecord(route_id=candidate.route_id, probability=candidate.probability)


def _shadow(decision: Decision) -> ShadowRecord:
    return ShadowRecord(
        policy_set_revision=decision.policy_set.revision,
        model_version=decision.profile.model_version,
        tier=decision.profile.tier.value,
        outcome=decision.outcome.value,
        route_id=decision.route_id,
        models=tuple(target.model for target in decision.models),
        confidence=decision.confidence,
    )


def _rule(rule: DecisionRule) -> RuleRecord:
    stickiness = rule.stickiness
    return RuleRecord(
        min_confidence=rule.min_confidence,
        turn_kind=stickiness.turn_kind.value,
        previous_route_id=stickiness.previous_route_id,
        switch_margin=stickiness.switch_margin,
    )


def _conversation(messages: Sequence[Message], text: TextMode, salt: bytes) -> ConversationRecord:
    return ConversationRecord(
        message_count=len(messages),
        digest="" if text == "none" else digest_of(messages, salt),
        messages=tuple(MessageRecord(role=one.role.value, content=one.content) for one in messages)
        if text == "text"
        else None,
    )
