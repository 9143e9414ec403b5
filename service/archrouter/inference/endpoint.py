"""An endpoint: one Triton server and model, its state, and the watch that tells when it may take calls."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import structlog

from archrouter.application.ports import ScoringBackend
from archrouter.domain.errors import (
    ArchRouterError,
    BackendProtocolError,
    ModelNotReadyError,
    PromptTemplateError,
    PromptTooLongError,
)
from archrouter.domain.findings import Finding
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import BackendProfile
from archrouter.inference.bundle import Bundle
from archrouter.inference.triton_errors import RETRY_AFTER_S

_log = structlog.get_logger(__name__)


class Model(ScoringBackend, Protocol):
    """A model of an inference server: it scores, and its life can be watched."""

    async def warm_up(self, *, timeout_s: float) -> BackendProfile:
        """Make one real call and read the model's facts again.

        Args:
            timeout_s: Time for the whole of it, > 0.

        Returns:
            The model that answered.

        Raises:
            UnavailableError: When the inference server or the model does not answer.
            BackendProtocolError: When the model does not keep the tensor contract.
        """
        ...

    async def is_ready(self, *, timeout_s: float) -> bool:
        """Ask cheaply, in ``timeout_s``, whether the model would answer now; False also when it cannot be reached."""
        ...

    async def close(self) -> None:
        """Release the connection; the model is not used again."""
        ...


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
    """An endpoint of the list. The fleet that it belongs to counts its calls and decides when it leaves.

    Attributes:
        spec: Where it is and what it must serve.
        model: Speaks to it.
        state: Whether it takes calls.
        profile: What it said of itself when it last passed its checks; None before.
        call_count: Calls it has not answered yet.
        idle: Set while there are none.
    """

    def __init__(self, spec: EndpointSpec, model: Model, policy_sets: Callable[[], Iterable[PolicySet]]) -> None:
        """Start as waiting, without calls; `policy_sets` gives the sets that are being served."""
        self.spec = spec
        self.model = model
        self.state = EndpointState.WAITING
        self.profile: BackendProfile | None = None
        self.call_count = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._policy_sets = policy_sets
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

    async def watch(self, on_change: Callable[[], None], *, interval_s: float, warm_up_timeout_s: float) -> None:
        """Warm it up until it answers a real call, then ask for its readiness until it is lost, until cancelled.

        A loss goes unnoticed for at most twice `interval_s`.
        """
        while True:
            try:
                if self.state is not EndpointState.READY:
                    await self._wait_until_warm(interval_s, warm_up_timeout_s)
                    self.state = EndpointState.READY
                    on_change()
                while await self.model.is_ready(timeout_s=interval_s):  # noqa: ASYNC110  # another process
                    await asyncio.sleep(interval_s)
                self._log.error("model_lost")
            except Exception:  # noqa: BLE001  # whatever it is, an endpoint that nobody watches would never come back
                self._log.exception("endpoint_watch_failed")
                await asyncio.sleep(interval_s)
            self.state = EndpointState.WAITING
            on_change()

    async def finish(self) -> None:
        """Wait until the last call is answered, and close the connection. Nobody may choose it any more."""
        try:
            await self.idle.wait()
        finally:
            await self.model.close()

    async def _wait_until_warm(self, interval_s: float, warm_up_timeout_s: float) -> None:
        reason = ""
        while True:
            try:
                profile = await self.warm_up(timeout_s=warm_up_timeout_s)
            except ArchRouterError as error:
                if str(error) != reason:  # a lasting cause is logged once
                    reason = str(error)
                    self._log.warning("model_not_ready", reason=reason, cause=cause_of(error))
                await asyncio.sleep(interval_s)
            else:
                self._log.info("model_ready", model_version=profile.model_version, tier=profile.tier.value)
                return

    async def _prepare(self, policy_set: PolicySet) -> None:
        try:
            await self.model.prepare(policy_set)
        except (PromptTooLongError, PromptTemplateError, BackendProtocolError) as error:
            msg = f"policy set {policy_set.id!r} does not fit this model: {error}"
            raise ModelNotReadyError(msg, retry_after_s=RETRY_AFTER_S) from error


def cause_of(error: ArchRouterError) -> str:
    """Say for the log what stands behind an error, in the words of the inference server; empty for nothing."""
    return "" if error.__cause__ is None else str(error.__cause__)
