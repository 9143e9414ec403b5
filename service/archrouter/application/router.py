"""The use case: check the request, resolve the policy set, score its candidates, decide, and warn."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from archrouter.application.explanation import Decided, explain
from archrouter.application.policy_store import PolicyStore
from archrouter.application.ports import Clock, ScoringBackend, StartStep
from archrouter.application.select_route import Decision, DecisionTimes, SelectRoute
from archrouter.domain.conversation import Conversation, Message, Role
from archrouter.domain.decision import DecisionReason, DecisionRule
from archrouter.domain.errors import (
    BackendProtocolError,
    BudgetExceededError,
    InvalidRequestError,
    PolicySetRevisionNotFoundError,
)
from archrouter.domain.findings import Finding, error_at
from archrouter.domain.policy import PolicySet
from archrouter.domain.posterior import decide, ranked
from archrouter.domain.scoring import Scoring, ScoringRequest, Usage
from archrouter.domain.ticket import Tickets
from archrouter.domain.warnings import DecisionWarning, WarningCode

OFF_POLICY_MASS = 0.5
"""Below this share of next-token mass on candidates, most of the model's belief lay outside every candidate."""

EXPLAINING_SHARE = 0.9
"""Share of the call's time after which an explanation ends with what it has found, so that the decision arrives."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one request, each >= 1, from the configuration.

    Attributes:
        max_messages: Messages of one conversation.
        max_message_characters: Characters of one message.
        max_batch_size: Items of one batch.
        max_inline_routes: Routes of an inline policy set.
        max_explained_messages: Messages that an explanation leaves out one by one.
    """

    max_messages: int
    max_message_characters: int
    max_batch_size: int
    max_inline_routes: int
    max_explained_messages: int = 8

    def check_messages(self, messages: Sequence[Message]) -> None:
        """Refuse a conversation nobody can route.

        Args:
            messages: All messages of the request, oldest first.

        Raises:
            InvalidRequestError: With every finding at once.
        """
        findings = tuple(self._message_findings(messages))
        if findings:
            raise InvalidRequestError(findings)

    def count_findings(self, message_count: int, inline_route_count: int = 0) -> list[Finding]:
        """Say which list of a request is too long, before anybody walks over it.

        Args:
            message_count: Messages of the conversation.
            inline_route_count: Routes of the inline policy set; 0 where there is none.

        Returns:
            A finding for each list whose length is out of bounds.
        """
        findings = []
        if not 1 <= message_count <= self.max_messages:
            text = f"{message_count} messages; send 1 to {self.max_messages} (limits.max_messages)"
            findings.append(error_at("messages", text))
        if inline_route_count > self.max_inline_routes:
            text = (
                f"{inline_route_count} routes exceed {self.max_inline_routes} (limits.max_inline_routes); "
                "load the policy set on the server instead"
            )
            findings.append(error_at("routes", text))
        return findings

    def _message_findings(self, messages: Sequence[Message]) -> list[Finding]:
        if miscounted := self.count_findings(len(messages)):
            return miscounted
        findings = [
            error_at(
                f"messages[{index}].content",
                f"{len(message.content)} characters exceed {self.max_message_characters} "
                "(limits.max_message_characters); shorten the message",
            )
            for index, message in enumerate(messages)
            if len(message.content) > self.max_message_characters
        ]
        if not any(message.role is Role.USER and message.has_text for message in messages):
            text = "no user message with text; the route follows the latest user message, so send one"
            findings.append(error_at("messages", text))
        return findings


class Router:
    """Answers `SelectRoute` questions. Keeps no state between them."""

    def __init__(
        self,
        store: PolicyStore,
        backend: ScoringBackend,
        clock: Clock,
        limits: RequestLimits,
        *,
        min_budget_s: float,
        deadline_margin_s: float,
        tickets: Tickets | None = None,
        start_step: StartStep = nullcontext,
    ) -> None:
        """Wire the use case.

        Args:
            store: Loaded policy sets.
            backend: The model.
            clock: Measures the decision.
            limits: Bounds of a request.
            min_budget_s: Refuse at once a call that leaves less time than this, in seconds >= 0.
            deadline_margin_s: Part of the caller's time kept for the way back, in seconds >= 0.
            tickets: Signs and reads route tickets; None does so with a key that nobody else has.
            start_step: Marks the step ``decide`` in a trace.
        """
        self._store = store
        self._backend = backend
        self._clock = clock
        self._limits = limits
        self._min_budget_s = min_budget_s
        self._deadline_margin_s = deadline_margin_s
        self._tickets = tickets or Tickets()
        self._start_step = start_step

    async def select_route(self, request: SelectRoute, *, budget_s: float) -> Decision:
        """Decide the route of one conversation.

        Args:
            request: The question; its messages are unchecked, its inline set is valid.
            budget_s: Time the caller leaves for the answer, in seconds.

        Returns:
            A decision whose models are never empty.

        Raises:
            ArchRouterError: Any of the tree in `archrouter.domain.errors`.
        """
        started_s = self._clock.monotonic_s()
        self._limits.check_messages(request.messages)
        policy_set, stale = self._policy_set(request)
        if budget_s < self._min_budget_s:
            raise BudgetExceededError(remaining_s=budget_s)
        now_s = self._clock.now().timestamp()
        redeemed = self._tickets.redeem(request.rule, policy_set, now_s=now_s)
        conversation = Conversation.from_messages(request.messages)
        scoring = await self._backend.score(
            ScoringRequest(policy_set, conversation, request.overflow),
            timeout_s=budget_s - self._deadline_margin_s - (self._clock.monotonic_s() - started_s),
        )
        with self._start_step("decide"):
            probabilities = _probabilities(policy_set, scoring)
            choice = decide(policy_set, probabilities, redeemed.rule)
            candidates = ranked(policy_set, scoring.posterior, probabilities)
        explanation, usage = None, scoring.usage
        if request.explain:
            decided = Decided(
                replace(request, rule=redeemed.rule), policy_set, scoring, probabilities, choice, candidates
            )
            timeout_s = EXPLAINING_SHARE * budget_s - (self._clock.monotonic_s() - started_s)
            count = self._limits.max_explained_messages
            explanation, usage = await explain(
                decided, self._backend, _probabilities, max_message_count=count, timeout_s=timeout_s
            )
        return Decision(
            decision_id=request.decision_id,
            outcome=choice.outcome,
            route=choice.route,
            models=choice.route.models if choice.route else policy_set.fallback_models,
            confidence=choice.confidence,
            candidates=candidates,
            policy_set=policy_set,
            inline=request.inline_policy_set is not None,
            profile=scoring.profile,
            kept=choice.kept,
            reasons=(*scoring.reasons, *redeemed.reasons(kept=choice.kept), *choice.reasons),
            warnings=(
                *decision_warnings(conversation, scoring, stale=stale),
                *redeemed.warnings,
                *_threshold_warnings(policy_set, scoring, redeemed.rule),
            ),
            usage=usage,
            times=DecisionTimes(
                total_s=self._clock.monotonic_s() - started_s,
                tokenize_s=scoring.times.tokenize_s,
                queue_s=scoring.times.queue_s,
                inference_s=scoring.times.inference_s,
            ),
            route_ticket=self._tickets.issue(choice.route, policy_set, turn_count=redeemed.turn_count + 1, now_s=now_s),
            rule=redeemed.rule,
            explanation=explanation,
        )

    def _policy_set(self, request: SelectRoute) -> tuple[PolicySet, bool]:
        inline = request.inline_policy_set
        if inline is not None:
            if request.policy_set_revision not in ("", inline.revision):
                raise PolicySetRevisionNotFoundError(inline.id, inline.revision)
            return inline, False
        loaded = self._store.resolve(request.policy_set_id, request.policy_set_revision)
        return loaded.policy_set, loaded.stale


def _probabilities(policy_set: PolicySet, scoring: Scoring) -> NDArray[np.float64]:
    """Calibrate a model's answer; BackendProtocolError when it is not about this policy set."""
    if scoring.posterior.log_probabilities.shape != (len(policy_set.routes) + 1,):
        msg = f"posterior has shape {scoring.posterior.log_probabilities.shape} for {len(policy_set.routes)} routes"
        raise BackendProtocolError(msg)
    return scoring.profile.calibration.apply(scoring.posterior)


def decision_warnings(conversation: Conversation, scoring: Scoring, *, stale: bool) -> tuple[DecisionWarning, ...]:
    """List what a decision's reader should know, by `WarningCode`'s order; stale: its set's file is unusable now."""
    return (
        *_truncation_warnings(scoring.usage),
        *_conversation_warnings(conversation),
        *_answer_warnings(scoring, stale=stale),
    )


def _truncation_warnings(usage: Usage) -> Iterator[DecisionWarning]:
    dropped = {"droppedTokenCount": str(usage.dropped_token_count)}
    if usage.dropped_message_count:
        yield DecisionWarning(
            WarningCode.CONVERSATION_TRUNCATED,
            f"the {usage.dropped_message_count} oldest messages exceeded the model's limit and were not read",
            {"droppedMessageCount": str(usage.dropped_message_count), **dropped},
        )
    elif usage.dropped_token_count:
        yield DecisionWarning(
            WarningCode.MESSAGE_TRUNCATED,
            f"{usage.dropped_token_count} tokens of the conversation exceeded the model's limit and were not read",
            dropped,
        )


def _conversation_warnings(conversation: Conversation) -> Iterator[DecisionWarning]:
    if conversation.ignored_message_count:
        yield DecisionWarning(
            WarningCode.MESSAGES_IGNORED,
            f"{conversation.ignored_message_count} system or tool messages do not take part in routing",
            {"ignoredMessageCount": str(conversation.ignored_message_count)},
        )
    if not conversation.ends_with_user:
        yield DecisionWarning(
            WarningCode.LAST_MESSAGE_NOT_USER,
            "the last message is not a user message with text; the route follows the latest one that is",
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
    if DecisionReason.ENGINE_UNAVAILABLE in scoring.reasons:
        yield DecisionWarning(
            WarningCode.ENGINE_UNAVAILABLE_COMPACT_USED,
            "the engine gave no answer; the compact tier decided in its place",
        )
    if scoring.on_trie_mass < OFF_POLICY_MASS:
        yield DecisionWarning(
            WarningCode.ANSWER_OFF_POLICY,
            "most of the model's next-token mass lay outside every candidate",
            {"onTrieMass": f"{scoring.on_trie_mass:.6f}"},
        )


def _threshold_warnings(policy_set: PolicySet, scoring: Scoring, rule: DecisionRule) -> Iterator[DecisionWarning]:
    """Say that calibrated thresholds are stale; about a threshold of the request's own nothing was promised."""
    is_promised = policy_set.promise is not None and rule.min_confidence is None
    if is_promised and (cause := policy_set.stale_promise(scoring.profile.model_version)):
        yield DecisionWarning(
            WarningCode.THRESHOLDS_STALE,
            f"the {cause} changed since the thresholds were calibrated, so their promised error no longer holds",
            {"cause": cause},
        )
