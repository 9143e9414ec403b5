"""From a request to an answer: rate limits, retries within their budget, and endpoints that know no JSON schema."""

import time

from aiolimiter import AsyncLimiter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from data.drafting.chat_request import ChatRequest
from data.drafting.endpoint import ChatEndpoint
from data.drafting.errors import (
    BudgetExhaustedError,
    EndpointUnusableError,
    RejectedError,
    Rejection,
    RequestRefusedError,
    TransientError,
    UnansweredError,
)
from data.drafting.ledger import Ledger
from data.drafting.settings import AttemptSettings, EndpointSettings
from data.drafting.stop import StopSignal

_MINUTE_S = 60.0


class Sender:
    """Sends requests until they are answered, or until it is clear that they will not be."""

    def __init__(
        self,
        endpoint: ChatEndpoint,
        settings: EndpointSettings,
        attempts: AttemptSettings,
        ledger: Ledger,
        stop: StopSignal,
    ) -> None:
        """Send nothing yet."""
        self._endpoint = endpoint
        self._settings = settings
        self._attempts = attempts
        self._ledger = ledger
        self._stop = stop
        self._requests = _limiter(settings.requests_per_minute)
        self._tokens = _limiter(settings.tokens_per_minute)
        self._open_at_s = 0.0
        self._has_answered = False
        self._plain_models: set[str] = set()

    async def send(self, request: ChatRequest) -> str:
        """Send a request until it is answered.

        Raises:
            StopError: When no further request should be sent.
            UnansweredError: When this request kept failing.
            RejectedError: When the endpoint finds fault with this request.
        """
        try:
            body: str = await self._retrying(request)(self._send_once, request)
        except TransientError as error:
            raise self._verdict(error) from error
        except RequestRefusedError as error:
            if not self._has_answered:
                msg = f"{error}; it has taken no request so far, so check the settings"
                raise EndpointUnusableError(msg) from error
            raise RejectedError(Rejection.REQUEST_REFUSED, str(error)) from error
        self._has_answered = True
        return body

    def _retrying(self, request: ChatRequest) -> AsyncRetrying:
        def count(_state: RetryCallState) -> None:
            self._ledger.retried(request.role)

        return AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self._attempts.request) | _NoRetriesLeft(self._ledger),
            wait=_RetryAfter(self._attempts),
            sleep=self._stop.pause,
            before_sleep=count,
            reraise=True,
        )

    async def _send_once(self, request: ChatRequest) -> str:
        await self._wait_for_turn(request)
        try:
            return await self._post(request)
        except TransientError as error:
            if error.retry_after_s is not None:
                self._close_for(error.retry_after_s, str(error))
            raise

    async def _wait_for_turn(self, request: ChatRequest) -> None:
        self._stop.raise_if_set()
        while (wait_s := self._open_at_s - time.monotonic()) > 0:
            await self._stop.pause(wait_s)
        if self._requests:
            await self._stop.race(self._requests.acquire())
        if self._tokens:
            amount = min(float(request.estimated_tokens), self._tokens.max_rate)
            await self._stop.race(self._tokens.acquire(amount))

    def _close_for(self, delay_s: float, message: str) -> None:
        """Hold back every request, not only the one that was told to wait."""
        if delay_s > self._attempts.max_retry_after_s:
            msg = f"{message} and asks to wait {delay_s:.0f} s; run the command again then"
            raise EndpointUnusableError(msg)
        self._open_at_s = max(self._open_at_s, time.monotonic() + delay_s)

    async def _post(self, request: ChatRequest) -> str:
        limit, key = self._settings.output_limit_member, request.digest
        mode, model = self._settings.structured_output, request.settings.model
        if mode == "plain" or model in self._plain_models:
            return await self._endpoint.post(request.payload(limit, structured=False), key)
        try:
            return await self._endpoint.post(request.payload(limit, structured=True), key)
        except RequestRefusedError:
            if mode != "auto":
                raise
        body = await self._endpoint.post(request.payload(limit, structured=False), key)
        self._plain_models.add(model)
        return body

    def _verdict(self, error: TransientError) -> Exception:
        if not self._has_answered:
            msg = f"{error}; it has answered nothing so far, so check endpoint.base_url and whether it runs"
            return EndpointUnusableError(msg)
        if not self._ledger.has_retries_left:
            msg = f"budget.retries is used up ({self._ledger.retries}), last because {error};"
            msg += " run the command again when the endpoint is well"
            return BudgetExhaustedError(msg)
        return UnansweredError(f"given up after {self._attempts.request} tries: {error}")


class _NoRetriesLeft(stop_base):
    """When the run may send nothing again, whatever attempts this request has left."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __call__(self, retry_state: RetryCallState) -> bool:
        del retry_state
        return not self._ledger.has_retries_left


class _RetryAfter(wait_base):
    """As long as the endpoint asks, otherwise ever longer with jitter."""

    def __init__(self, attempts: AttemptSettings) -> None:
        self._backoff = wait_random_exponential(multiplier=attempts.initial_wait_s, max=attempts.max_wait_s)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(error, TransientError) and error.retry_after_s:  # "at once" is no reason to hurry
            return error.retry_after_s
        return self._backoff(retry_state)


def _limiter(per_minute: int) -> AsyncLimiter | None:
    return AsyncLimiter(per_minute, _MINUTE_S) if per_minute else None
