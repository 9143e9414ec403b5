"""The use case: resolve the policy set, score its candidates, decide."""

import numpy as np
from numpy.typing import NDArray

from archrouter.application.decision_warnings import decision_warnings
from archrouter.application.limits import RequestLimits
from archrouter.application.policy_store import PolicyStore
from archrouter.application.ports import Clock, ScoringBackend
from archrouter.application.select_route import Candidate, CandidateKind, Decision, DecisionTimes, SelectRoute
from archrouter.domain.conversation import Conversation
from archrouter.domain.decision import decide
from archrouter.domain.errors import (
    BackendProtocolError,
    BudgetExceededError,
)
from archrouter.domain.policy import PolicySet
from archrouter.domain.posterior import Posterior
from archrouter.domain.scoring import ScoringRequest


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
    ) -> None:
        """Wire the use case.

        Args:
            store: Loaded policy sets.
            backend: The model.
            clock: Measures the decision.
            limits: Bounds of a request.
            min_budget_s: Refuse at once a call that leaves less time than this, in seconds >= 0.
            deadline_margin_s: Part of the caller's time kept for the way back, in seconds >= 0.
        """
        self._store = store
        self._backend = backend
        self._clock = clock
        self._limits = limits
        self._min_budget_s = min_budget_s
        self._deadline_margin_s = deadline_margin_s

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
        conversation = Conversation.from_messages(request.messages)
        scoring = await self._backend.score(
            ScoringRequest(policy_set, conversation, request.overflow),
            timeout_s=budget_s - self._deadline_margin_s - (self._clock.monotonic_s() - started_s),
        )
        if scoring.posterior.log_probabilities.shape != (len(policy_set.routes) + 1,):
            msg = f"posterior has shape {scoring.posterior.log_probabilities.shape} for {len(policy_set.routes)} routes"
            raise BackendProtocolError(msg)
        probabilities = scoring.profile.calibration.apply(scoring.posterior)
        verdict = decide(policy_set, probabilities, request.rule)
        return Decision(
            decision_id=request.decision_id,
            outcome=verdict.outcome,
            route=verdict.route,
            models=verdict.route.models if verdict.route else policy_set.fallback_models,
            confidence=verdict.confidence,
            candidates=_ranked(policy_set, scoring.posterior, probabilities),
            policy_set=policy_set,
            inline=request.inline_policy_set is not None,
            profile=scoring.profile,
            kept=verdict.kept,
            warnings=decision_warnings(conversation, scoring, stale=stale),
            usage=scoring.usage,
            times=DecisionTimes(
                total_s=self._clock.monotonic_s() - started_s,
                tokenize_s=scoring.times.tokenize_s,
                queue_s=scoring.times.queue_s,
                inference_s=scoring.times.inference_s,
            ),
        )

    def _policy_set(self, request: SelectRoute) -> tuple[PolicySet, bool]:
        if request.inline_policy_set is not None:
            return request.inline_policy_set, False
        loaded = self._store.resolve(request.policy_set_id)
        return loaded.policy_set, loaded.stale


def _ranked(policy_set: PolicySet, posterior: Posterior, probabilities: NDArray[np.float64]) -> tuple[Candidate, ...]:
    """List every candidate, most probable first; the sort is stable, so ties keep policy order."""
    route_ids = [route.id for route in policy_set.routes]
    return tuple(
        Candidate(
            kind=CandidateKind.ROUTE if index < len(route_ids) else CandidateKind.NO_MATCH,
            route_id=route_ids[index] if index < len(route_ids) else "",
            probability=float(probabilities[index]),
            log_probability=float(posterior.log_probabilities[index]),
            exact=bool(posterior.exact[index]),
        )
        for index in np.argsort(-probabilities, kind="stable")
    )
