"""An endpoint: one Triton server and model, its state, and the watch that tells when it may take calls."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from math import inf

import structlog

from archrouter.config import TritonSettings
from archrouter.domain.errors import (
    ArchRouterError,
    BackendProtocolError,
    BackendUnavailableError,
    BudgetExceededError,
    ModelNotReadyError,
    PromptTemplateError,
    PromptTooLongError,
)
from archrouter.domain.findings import Finding
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import BackendProfile
from archrouter.inference.bundle import Bundle
from archrouter.inference.model import Model
from archrouter.inference.triton_errors import RETRY_AFTER_S, cause_of

_MAX_PATIENCE_S = 5.0
"""Most time that an endpoint which was lost gets to say that it is back; one attempt to connect takes as long."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """Where an endpoint is and what it must serve.

    Attributes:
        address: HOST:PORT of Triton's gRPC.
        model: Name of the Triton model.
        bundle: What a language model was trained with; None for the compact router.
    """

    address: str
    model: str
    bundle: Bundle | None = None

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{self.address}/{self.model}"

    @property
    def profile(self) -> BackendProfile | None:
        """What the bundle says of the model; None for the compact router, which speaks for itself."""
        return self.bundle.profile if self.bundle else None

    def is_same_as(self, other: "EndpointSpec") -> bool:
        """Say whether both mean one endpoint: the same place, and equal facts, calibration included."""
        return self.name == other.name and self.profile == other.profile


@dataclass(frozen=True, slots=True)
class EndpointList:
    """What one look at the list of endpoints gave.

    Attributes:
        endpoints: In the order of the file; empty when a finding is an error.
        findings: Everything found, in the order of the file.
    """

    endpoints: tuple[EndpointSpec, ...]
    findings: tuple[Finding, ...]


class EndpointState(Enum):
    """Whether an endpoint takes calls."""

    WAITING = "waiting"
    """In the list, but it has not passed its checks yet, or was lost since."""

    READY = "ready"
    """Takes calls."""

    DRAINING = "draining"
    """No longer in the list; finishes the calls it has."""


class Endpoint:
    """An endpoint of the list. The fleet that it belongs to puts calls to it and decides when it leaves.

    Attributes:
        spec: Where it is and what it must serve.
        model: Speaks to it.
        state: Whether it takes calls.
        profile: What it said of itself when it last passed its checks; None before.
        calls: Those it has not answered yet; a call ends when its timeout is brought forward.
        idle: Set while there are none.
        trusted: Not set while it is in doubt: a call got no answer, and no look has told yet whether it is lost.
        failure_count: Calls that it failed one after the other since the last one that it answered.
        answer_count: Calls that it answered.
    """

    def __init__(
        self, spec: EndpointSpec, model: Model, policy_sets: Callable[[], Iterable[PolicySet]], watch: TritonSettings
    ) -> None:
        """Start as waiting, without calls; `policy_sets` gives those that are served, `watch` how to look at it."""
        self.spec = spec
        self.model = model
        self.state = EndpointState.WAITING
        self.profile: BackendProfile | None = None
        self.calls: set[asyncio.Timeout] = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self.trusted = asyncio.Event()
        self.trusted.set()
        self.failure_count = 0
        self.answer_count = 0
        self._failed_s = -inf
        self._look_now = asyncio.Event()
        self._policy_sets = policy_sets
        self._watch = watch
        self._log = _log.bind(endpoint=spec.name)

    @property
    def name(self) -> str:
        """Its name for people."""
        return self.spec.name

    async def warm_up(self, *, timeout_s: float) -> BackendProfile:
        """Check it, let it answer a real call, and prepare every policy set that is being served.

        Policies are read before a server answers, and a server that restarts has forgotten them. The time is that of
        checks and call; preparing takes what it takes. An `ArchRouterError` says why it may not take calls.
        """
        profile = await self.model.warm_up(timeout_s=timeout_s)
        prepared: tuple[PolicySet, ...] = ()
        while (wanted := tuple(self._policy_sets())) != prepared:  # a reload may bring others meanwhile
            for policy_set in wanted:
                await self._prepare(policy_set)
            for policy_set in prepared:
                if policy_set not in wanted:
                    self.model.release(policy_set)
            prepared = wanted
        self.profile = profile
        return profile

    async def watch(self, on_change: Callable[[], None]) -> None:
        """Warm it up until it answers a real call, then look at it until it is lost, until cancelled.

        This is the one prober: a look comes every `triton.health_interval_s`, and at once when a call got no answer.
        """
        while True:
            try:
                if self.state is not EndpointState.READY:
                    await self._wait_until_warm()
                    self.failure_count = 0
                    self.state = EndpointState.READY
                    on_change()
                while not (loss := await self._loss()):
                    await self._pause()
                self._log.error("model_lost", reason=loss)
            except Exception:  # noqa: BLE001  # whatever it is, an endpoint that nobody watches would never come back
                self._log.exception("endpoint_watch_failed")
            self.state = EndpointState.WAITING
            self.trusted.set()
            on_change()
            # One that is lost whenever it is ready is tried no faster.
            await asyncio.sleep(self._watch.health_interval_s)

    def note_failure(self, error: ArchRouterError, timeout_s: float, started_s: float) -> None:
        """Count a call that it failed, and have it looked at; not one whose time, in seconds, was short.

        Calls that were under way together count once, since one event may have failed them all: a connection was reset.
        """
        if isinstance(error, BudgetExceededError) and timeout_s < self._watch.fair_timeout_s:
            return
        if started_s >= self._failed_s:
            self.failure_count += 1
            self._failed_s = asyncio.get_running_loop().time()
        self.trusted.clear()
        self._look_now.set()

    async def wait_for_verdict(self, timeout_s: float) -> None:
        """Wait until it is known whether it is lost, for a share of `timeout_s` at most.

        Raises:
            BackendUnavailableError: When it is lost, or nobody knows yet.
        """
        try:
            async with asyncio.timeout(self._watch.doubt_budget_share * timeout_s):
                await self.trusted.wait()
        except TimeoutError:
            msg = f"endpoint {self.name} does not answer, and it is not known yet whether it is lost"
            raise BackendUnavailableError(msg, retry_after_s=RETRY_AFTER_S) from None
        if self.state is not EndpointState.READY:
            msg = f"endpoint {self.name} is lost"
            raise BackendUnavailableError(msg, retry_after_s=RETRY_AFTER_S)

    async def finish(self) -> None:
        """Wait until the last call is answered, and close the connection. Nobody may choose it any more."""
        try:
            await self.idle.wait()
        finally:
            await self.model.close()

    async def _loss(self) -> str:
        """Look once, and say why it gets no more calls; empty where it does."""
        self._look_now.clear()
        answer_count = self.answer_count
        is_ready = await self.model.is_ready(timeout_s=self._watch.probe_timeout_s)
        if is_ready is None and self.answer_count == answer_count:  # one that answers calls is only busy
            self._end_calls()
            await self.model.reconnect()
            return "the inference server does not answer"
        if is_ready is False:
            return "the model is not ready"
        if self.failure_count >= self._watch.max_failures:
            return f"{self.failure_count} calls in a row failed"
        self.trusted.set()
        return ""

    def _end_calls(self) -> None:
        """Let no call wait for an answer that does not come."""
        for call in self.calls:
            if not call.expired():
                call.reschedule(asyncio.get_running_loop().time())

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._watch.health_interval_s):
                await self._look_now.wait()

    async def _wait_until_warm(self) -> None:
        reason, patience_s = "", self._watch.probe_timeout_s
        while True:
            try:
                await self._reach(patience_s)
                profile = await self.warm_up(timeout_s=self._watch.warm_up_timeout_s)
            except ArchRouterError as error:
                if str(error) != reason:  # a lasting cause is logged once
                    reason = str(error)
                    self._log.warning("model_not_ready", reason=reason, cause=cause_of(error))
                if isinstance(error, BackendUnavailableError | BudgetExceededError):
                    await self.model.reconnect()
                patience_s = min(2 * patience_s, _MAX_PATIENCE_S)
                await asyncio.sleep(self._watch.health_interval_s)
            else:
                self._log.info("model_ready", model_version=profile.model_version, tier=profile.tier.value)
                return

    async def _reach(self, timeout_s: float) -> None:
        """See that somebody answers; a connection on which nothing comes back is given up before a call would be."""
        if await self.model.is_ready(timeout_s=timeout_s) is None:
            msg = f"endpoint {self.name} did not answer"
            raise BackendUnavailableError(msg, retry_after_s=RETRY_AFTER_S)

    async def _prepare(self, policy_set: PolicySet) -> None:
        try:
            await self.model.prepare(policy_set)
        except (PromptTooLongError, PromptTemplateError, BackendProtocolError) as error:
            msg = f"policy set {policy_set.id!r} does not fit this model: {error}"
            raise ModelNotReadyError(msg, retry_after_s=RETRY_AFTER_S) from error
