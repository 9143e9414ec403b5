"""The endpoints that decide, as one backend. One endpoint is a fleet of one.

A call goes to the ready endpoint with the fewest calls. While an endpoint is in doubt, because a call got no answer
from it, it is asked once by its watch, and calls wait for what that finds; once it is lost they all fail at once.
"""

import asyncio

import structlog

from archrouter.domain.errors import (
    BackendProtocolError,
    BackendUnavailableError,
    BudgetExceededError,
    ModelNotReadyError,
    OverloadedError,
    UnavailableError,
)
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import BackendProfile, Scoring, ScoringRequest
from archrouter.inference.endpoint import Endpoint, EndpointState
from archrouter.inference.roster import Roster
from archrouter.inference.triton_errors import RETRY_AFTER_S, cause_of

_ATTEMPTS = 2
"""Endpoints a call is put to at most: one that failed it, and one other. More would let one bad call fail them all."""

_log = structlog.get_logger(__name__)


class Fleet(Roster):
    """`ScoringBackend` over the endpoints of a list. For one event loop; not thread-safe."""

    @property
    def profile(self) -> BackendProfile | None:
        """The first ready endpoint's; while none is, that of the first which ever was. None before that."""
        known = (endpoint.profile for endpoint in (*self.ready, *self.endpoints) if endpoint.profile is not None)
        return next(known, None)

    def holds(self, policy_set: PolicySet) -> bool:
        """Say whether a policy set has been prepared and not released since."""
        return policy_set.revision in self._policy_sets

    async def prepare(self, policy_set: PolicySet) -> None:
        """Prepare a policy set on every endpoint, those that come later included; see `ScoringBackend.prepare`."""
        try:
            for endpoint in self.endpoints:
                await endpoint.model.prepare(policy_set)
        except Exception:
            if not self.holds(policy_set):
                self.release(policy_set)
            raise
        self._policy_sets[policy_set.revision] = policy_set

    def release(self, policy_set: PolicySet) -> None:
        """Release a policy set on every endpoint; see `ScoringBackend.release`."""
        self._policy_sets.pop(policy_set.revision, None)
        for endpoint in self.endpoints:
            endpoint.model.release(policy_set)

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """Score on the ready endpoint with the fewest calls; where it cannot answer, on one other.

        See `ScoringBackend.score`. All inferences of a decision go to one endpoint, whatever happens to the list
        meanwhile. Without the second attempt the endpoint that fails fastest would get most calls.
        """
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        tried: list[Endpoint] = []
        failure: UnavailableError | OverloadedError | None = None
        while len(tried) < _ATTEMPTS:
            ready = (one for one in self.endpoints if one.state is EndpointState.READY and one not in tried)
            chosen = min(ready, key=lambda one: (not one.trusted.is_set(), len(one.calls)), default=None)
            remaining_s = deadline_s - asyncio.get_running_loop().time()
            if chosen is None or (tried and remaining_s <= 0):
                break
            tried.append(chosen)
            try:
                return await self._ask(chosen, request, remaining_s)
            except (UnavailableError, OverloadedError) as error:
                failure = error
                _log.warning("endpoint_failed_a_call", endpoint=chosen.name, reason=str(error), cause=cause_of(error))
        raise failure or ModelNotReadyError("no endpoint of the list is ready", retry_after_s=RETRY_AFTER_S)

    async def _ask(self, endpoint: Endpoint, request: ScoringRequest, timeout_s: float) -> Scoring:
        """Put a call to an endpoint, and end it at once when the endpoint is lost meanwhile."""
        clock = asyncio.get_running_loop().time
        if not endpoint.trusted.is_set():
            deadline_s = clock() + timeout_s
            await endpoint.wait_for_verdict(timeout_s)
            timeout_s = deadline_s - clock()
        started_s = clock()
        try:
            async with asyncio.timeout(None) as call:
                endpoint.calls.add(call)
                endpoint.idle.clear()
                try:
                    scoring = await endpoint.model.score(request, timeout_s=timeout_s)
                finally:
                    endpoint.calls.discard(call)
                    if not endpoint.calls:
                        endpoint.idle.set()
        except TimeoutError as error:
            msg = f"endpoint {endpoint.name} was lost while it had the call"
            raise BackendUnavailableError(msg, retry_after_s=RETRY_AFTER_S) from error
        except (UnavailableError, BudgetExceededError, BackendProtocolError) as error:
            endpoint.note_failure(error, timeout_s, started_s)
            raise
        endpoint.failure_count = 0
        endpoint.answer_count += 1
        return scoring
