"""Two tiers as one backend: the compact tier before the engine, or in its place while it cannot be asked."""

import asyncio
from dataclasses import replace

import structlog

from archrouter.config import RoutingSettings
from archrouter.domain.decision import DecisionReason
from archrouter.domain.errors import (
    ArchRouterError,
    BackendProtocolError,
    BudgetExceededError,
    OverloadedError,
    PromptTooLongError,
    UnavailableError,
)
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import Scoring, ScoringRequest, StageTimes, Tier, Usage
from archrouter.inference.fleet import Fleet

_COMPACT_SHARE = 0.5
"""Share of the time that the compact tier gets before the engine is asked; it needs milliseconds where it is well."""

_NO_ANSWER = (UnavailableError, OverloadedError, BudgetExceededError, BackendProtocolError)

_log = structlog.get_logger(__name__)


class Tiers:
    """`ScoringBackend` over both tiers. The scoring says who decided, and its reasons why."""

    def __init__(self, engine: Fleet, compact: Fleet, routing: RoutingSettings) -> None:
        """Bind two fleets that somebody else starts and closes; `routing` says which decides when."""
        self._engine = engine
        self._compact = compact
        self._routing = routing
        self._falls_back = routing.on_engine_failure == "compact"

    async def prepare(self, policy_set: PolicySet) -> None:
        """Prepare a policy set in both tiers; see `ScoringBackend.prepare`."""
        held = self._compact.holds(policy_set)
        await self._compact.prepare(policy_set)
        try:
            await self._engine.prepare(policy_set)
        except Exception:
            if not held:
                self._compact.release(policy_set)
            raise

    def release(self, policy_set: PolicySet) -> None:
        """Release a policy set in both tiers; see `ScoringBackend.release`."""
        self._compact.release(policy_set)
        self._engine.release(policy_set)

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """Score in one tier or the other; see `ScoringBackend.score`."""
        if request.only_tier is not None:
            only = self._engine if request.only_tier is Tier.ENGINE else self._compact
            return await only.score(request, timeout_s=timeout_s)
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        guess: Scoring | None = None
        if self._routing.mode == "cascade":
            guess = await self._guess(request, timeout_s * _COMPACT_SHARE)
            if guess is not None and _leading_probability(guess) >= self._routing.cascade_min_confidence:
                return _with_reasons(guess, DecisionReason.COMPACT_SURE)
        asked_for = (DecisionReason.COMPACT_UNSURE,) if guess is not None else ()
        try:
            scoring = await self._engine.score(request, timeout_s=self._engine_time_s(deadline_s))
        except _NO_ANSWER as error:
            if not self._falls_back:
                raise
            scoring = guess or await self._in_place_of_engine(request, error, deadline_s)
            return _with_reasons(scoring, *asked_for, DecisionReason.ENGINE_UNAVAILABLE)
        return _with_reasons(scoring if guess is None else _summed(guess, scoring), *asked_for)

    async def _guess(self, request: ScoringRequest, timeout_s: float) -> Scoring | None:
        """Ask the compact tier first; None where it cannot tell, which the engine may."""
        try:
            return await self._compact.score(request, timeout_s=timeout_s)
        except (*_NO_ANSWER, PromptTooLongError) as error:
            _log.warning("compact_tier_left_out", reason=str(error))
            return None

    async def _in_place_of_engine(self, request: ScoringRequest, error: ArchRouterError, deadline_s: float) -> Scoring:
        remaining_s = deadline_s - asyncio.get_running_loop().time()
        if remaining_s <= 0:
            raise error
        try:
            return await self._compact.score(request, timeout_s=remaining_s)
        except _NO_ANSWER as second:
            raise second from error

    def _engine_time_s(self, deadline_s: float) -> float:
        """Give the engine what is left, less the reserve if that leaves the engine as much."""
        remaining_s = deadline_s - asyncio.get_running_loop().time()
        reserve_s = self._routing.compact_reserve_s if self._falls_back else 0.0
        return remaining_s - reserve_s if remaining_s >= 2 * reserve_s else remaining_s


def _leading_probability(scoring: Scoring) -> float:
    return float(scoring.profile.calibration.apply(scoring.posterior).max())


def _with_reasons(scoring: Scoring, *reasons: DecisionReason) -> Scoring:
    return replace(scoring, reasons=reasons)


def _summed(first: Scoring, second: Scoring) -> Scoring:
    """Give the second answer what both cost; the tokens are those that its own model read."""
    usage: Usage = replace(
        second.usage, engine_call_count=first.usage.engine_call_count + second.usage.engine_call_count
    )
    times = StageTimes(
        tokenize_s=first.times.tokenize_s + second.times.tokenize_s,
        queue_s=first.times.queue_s + second.times.queue_s,
        inference_s=first.times.inference_s + second.times.inference_s,
    )
    return replace(second, usage=usage, times=times)
