"""Several engines behind one `ScoringBackend`: each call goes to the ready engine with the fewest calls.

The pool knows who may take calls, not why; `archrouter.inference.fleet` decides that.
"""

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum

import structlog

from archrouter.application.ports import ScoringBackend
from archrouter.domain.errors import ModelNotReadyError, OverloadedError, UnavailableError
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import BackendProfile, Scoring, ScoringRequest
from archrouter.inference.served_model import RETRY_AFTER_S, ServedModel

_ATTEMPTS = 2
"""Engines a call is put to at most: one that failed it, and one other. More would let one bad call fail them all."""

_log = structlog.get_logger(__name__)


class EngineState(Enum):
    """Whether an engine takes calls."""

    WAITING = "waiting"
    """In the list, but it has not passed its checks yet, or was lost since."""

    READY = "ready"
    """Takes calls."""

    DRAINING = "draining"
    """No longer in the list; finishes the calls it has."""


class PooledEngine:
    """One engine: its backend, its state and the calls it has.

    Attributes:
        name: For people.
        state: Whether it takes calls.
        profile: What it said of itself when it last passed its checks; None before.
    """

    def __init__(self, name: str, backend: ScoringBackend, policy_sets: Callable[[], Iterable[PolicySet]]) -> None:
        """Start as waiting, without calls.

        Args:
            name: For people.
            backend: Speaks to it.
            policy_sets: Gives the sets that are being served.
        """
        self.name = name
        self.state = EngineState.WAITING
        self.profile: BackendProfile | None = None
        self._backend = backend
        self._model = ServedModel(backend, policy_sets)
        self._call_count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def call_count(self) -> int:
        """Calls it has not answered yet."""
        return self._call_count

    async def warm_up(self, *, timeout_s: float) -> BackendProfile:
        """Warm it up, and keep its profile; see `ServedModel.warm_up`."""
        self.profile = await self._model.warm_up(timeout_s=timeout_s)
        return self.profile

    async def is_ready(self, *, timeout_s: float) -> bool:
        """Ask its server; see `ScoringBackend.is_ready`."""
        return await self._model.is_ready(timeout_s=timeout_s)

    async def prepare(self, policy_set: PolicySet) -> None:
        """See `ScoringBackend.prepare`."""
        await self._backend.prepare(policy_set)

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """See `ScoringBackend.score`. All its inferences go to this engine, whatever happens to the list meanwhile."""
        self._call_count += 1
        self._idle.clear()
        try:
            return await self._backend.score(request, timeout_s=timeout_s)
        finally:
            self._call_count -= 1
            if not self._call_count:
                self._idle.set()

    async def finish(self) -> None:
        """Wait until the last call is answered, and close the connection. Nobody may choose the engine any more."""
        try:
            await self._idle.wait()
        finally:
            await self._backend.close()


class EnginePool:
    """`ScoringBackend` over any number of engines. For one event loop; not thread-safe.

    Attributes:
        engines: The engines of the list, in its order; those that drain are in it no more.
    """

    def __init__(self) -> None:
        """Start without engines: no call can be answered."""
        self.engines: tuple[PooledEngine, ...] = ()

    @property
    def ready(self) -> tuple[PooledEngine, ...]:
        """The engines that take calls, in the order of the list."""
        return tuple(engine for engine in self.engines if engine.state is EngineState.READY)

    @property
    def profile(self) -> BackendProfile | None:
        """The first ready engine's; while none is, that of the first which ever was. None before that."""
        known = (engine.profile for engine in (*self.ready, *self.engines) if engine.profile is not None)
        return next(known, None)

    async def warm_up(self, *, timeout_s: float) -> BackendProfile:
        """Check every engine that is waiting; see `ScoringBackend.warm_up`.

        Returns:
            The first ready engine's profile.

        Raises:
            ArchRouterError: When none is ready: why the first one is not.
        """
        waiting = [engine for engine in self.engines if engine.state is EngineState.WAITING]
        results = await asyncio.gather(
            *(engine.warm_up(timeout_s=timeout_s) for engine in waiting), return_exceptions=True
        )
        for engine, result in zip(waiting, results, strict=True):
            if isinstance(result, BackendProfile):
                engine.state = EngineState.READY
        profile = next((engine.profile for engine in self.ready), None)
        if profile is not None:
            return profile
        raise next((result for result in results if isinstance(result, BaseException)), _none_ready())

    async def is_ready(self, *, timeout_s: float) -> bool:
        """Ask every ready engine; see `ScoringBackend.is_ready`."""
        return any(await asyncio.gather(*(engine.is_ready(timeout_s=timeout_s) for engine in self.ready)))

    async def prepare(self, policy_set: PolicySet) -> None:
        """Prepare a policy set on every engine of the list; see `ScoringBackend.prepare`."""
        for engine in self.engines:
            await engine.prepare(policy_set)

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """Score on the ready engine with the fewest calls; where it cannot answer, on one other.

        See `ScoringBackend.score`. Without the second attempt the engine that fails fastest would get most calls.
        """
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        tried: list[PooledEngine] = []
        failure: UnavailableError | OverloadedError = _none_ready()
        while len(tried) < _ATTEMPTS:
            engine = min((one for one in self.ready if one not in tried), key=lambda one: one.call_count, default=None)
            remaining_s = deadline_s - asyncio.get_running_loop().time()
            if engine is None or (tried and remaining_s <= 0):
                break
            tried.append(engine)
            try:
                return await engine.score(request, timeout_s=remaining_s)
            except (UnavailableError, OverloadedError) as error:
                failure = error
                _log.warning("engine_failed_a_call", engine=engine.name, reason=str(error))
        raise failure

    async def close(self) -> None:
        """Close every connection; calls have been drained by the server."""
        for engine in self.engines:
            await engine.finish()


def _none_ready() -> ModelNotReadyError:
    return ModelNotReadyError("no engine of the list is ready", retry_after_s=RETRY_AFTER_S)
