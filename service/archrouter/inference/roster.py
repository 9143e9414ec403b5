"""The endpoints of a list at run time: watched each by itself, and exchanged without losing a call.

A new list is taken over in this order: the list and its bundles are read, the endpoints that are new are checked and
warmed up with every policy set, they take calls, and those that left the list finish theirs. Before the new ones take
calls nothing has changed, so whatever goes wrong leaves the old ones serving.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

import structlog

from archrouter.config import TritonSettings
from archrouter.domain.errors import ArchRouterError
from archrouter.domain.findings import has_errors
from archrouter.domain.policy import PolicySet
from archrouter.inference.endpoint import Endpoint, EndpointList, EndpointSpec, EndpointState
from archrouter.inference.model import Model
from archrouter.inference.triton_errors import cause_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """What the fleet tells of itself.

    Attributes:
        is_ready: Whether any endpoint takes calls.
        is_complete: Whether the latest list is the one that serves, every endpoint of it ready.
        counts: Endpoints by state; those that drain included.
    """

    is_ready: bool
    is_complete: bool
    counts: Mapping[EndpointState, int]


class Roster:
    """Keeps the endpoints as the list says. For one event loop; not thread-safe.

    Attributes:
        endpoints: Those of the list, in its order; those that drain are in it no more.
    """

    def __init__(
        self,
        read_list: Callable[[], EndpointList],
        connect: Callable[[EndpointSpec], Model],
        on_change: Callable[[FleetStatus], None],
        watch: TritonSettings,
    ) -> None:
        """Read nothing before `start`.

        Args:
            read_list: Reads the list; may take seconds.
            connect: Makes the connection to an endpoint; calls nothing.
            on_change: Called with each change.
            watch: How each endpoint is watched.
        """
        self.endpoints: tuple[Endpoint, ...] = ()
        self._read_list = read_list
        self._connect = connect
        self._on_change = on_change
        self._watch_of = watch
        self._policy_sets: dict[str, PolicySet] = {}  # those being served, by revision
        self._watchers: dict[Endpoint, asyncio.Task[None]] = {}
        self._draining: set[Endpoint] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = asyncio.Event()
        self._lock = asyncio.Lock()
        self._is_list_served = True

    @property
    def ready(self) -> tuple[Endpoint, ...]:
        """The endpoints that take calls, in the order of the list."""
        return tuple(endpoint for endpoint in self.endpoints if endpoint.state is EndpointState.READY)

    def start(self) -> None:
        """Take the endpoints of the list as they are; `run` brings up each when it passes its checks.

        Raises:
            ValueError: When the list or a bundle in it cannot be used, with every finding.
        """
        listed = self._read_list()
        if has_errors(listed.findings):
            msg = "the endpoints file (triton.endpoints_file) cannot be used: " + "; ".join(
                f"line {finding.line}, column {finding.column}: {finding.field_path}: {finding.message}"
                for finding in listed.findings
            )
            raise ValueError(msg)
        self.endpoints = tuple(self._make(spec) for spec in listed.endpoints)
        self._publish()

    async def run(self) -> None:
        """Watch the endpoints until cancelled."""
        try:
            for endpoint in self.endpoints:
                self._watch(endpoint)
            self._running.set()
            await asyncio.Event().wait()  # until cancelled
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def reload(self) -> bool:
        """Read the list anew and take it over, or keep what serves. Waits for `run` to have begun.

        Returns:
            Whether the list is the one that serves now.
        """
        await self._running.wait()
        async with self._lock:
            self._is_list_served = False
            self._publish()
            rejection = await self._take_over()
            self._is_list_served = not rejection
            if rejection:
                serving = [endpoint.name for endpoint in self.ready]
                _log.error("endpoints_rejected", reason=rejection, still_serving=serving)
            self._publish()
        return not rejection

    async def close(self) -> None:
        """Close every connection; calls have been drained by the server."""
        for endpoint in self.endpoints:
            await endpoint.finish()

    async def _take_over(self) -> str:
        """Exchange the endpoints, or say why they stay."""
        listed = await asyncio.to_thread(self._read_list)
        if has_errors(listed.findings):
            for finding in listed.findings:
                _log.error("endpoints_file_rejected", **finding.log_fields)
            return "the endpoints file cannot be used"
        endpoints = tuple(self._kept(spec) or self._make(spec) for spec in listed.endpoints)
        newcomers = [endpoint for endpoint in endpoints if endpoint not in self.endpoints]
        passed = await asyncio.gather(*(self._passes(endpoint) for endpoint in newcomers))
        rejection = ""
        if newcomers and not any(passed):
            rejection = "no new endpoint of the list passed its checks"
        elif not any(endpoint.state is EndpointState.READY for endpoint in endpoints):
            rejection = "no endpoint of the list is ready"
        if rejection and self.ready:  # where nothing serves there is nothing to protect
            for endpoint in newcomers:
                await self._finish(endpoint)
            return rejection
        leaving = [endpoint for endpoint in self.endpoints if endpoint not in endpoints]
        self.endpoints = endpoints
        for endpoint in leaving:
            self._drain(endpoint)
        for endpoint in newcomers:
            self._watch(endpoint)
        _log.info("endpoints_taken_over", endpoints=[_facts(endpoint) for endpoint in endpoints], draining=len(leaving))
        return ""

    def _kept(self, spec: EndpointSpec) -> Endpoint | None:
        return next((endpoint for endpoint in self.endpoints if endpoint.spec.is_same_as(spec)), None)

    def _make(self, spec: EndpointSpec) -> Endpoint:
        return Endpoint(spec, self._connect(spec), lambda: tuple(self._policy_sets.values()), self._watch_of)

    async def _passes(self, endpoint: Endpoint) -> bool:
        try:
            await endpoint.warm_up(timeout_s=self._watch_of.warm_up_timeout_s)
        except ArchRouterError as error:
            _log.error("endpoint_refused", **_facts(endpoint), reason=str(error), cause=cause_of(error))
            return False
        endpoint.state = EndpointState.READY
        return True

    def _watch(self, endpoint: Endpoint) -> None:
        self._watchers[endpoint] = self._begin(endpoint.watch(self._publish), name=f"watch {endpoint.name}")

    def _drain(self, endpoint: Endpoint) -> None:
        endpoint.state = EndpointState.DRAINING
        self._watchers.pop(endpoint).cancel()
        self._draining.add(endpoint)
        self._begin(self._finish(endpoint), name=f"drain {endpoint.name}")

    async def _finish(self, endpoint: Endpoint) -> None:
        await endpoint.finish()
        _log.info("endpoint_closed", **_facts(endpoint))
        self._draining.discard(endpoint)
        self._publish()

    def _begin(self, work: Coroutine[object, object, None], *, name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(_logged(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _publish(self) -> None:
        """Tell what is ready. A listener that fails must not end what calls this."""
        ready, endpoints = self.ready, self.endpoints
        counts = Counter(endpoint.state for endpoint in (*endpoints, *self._draining))
        is_complete = self._is_list_served and len(ready) == len(endpoints)
        try:
            self._on_change(FleetStatus(bool(ready), is_complete, counts))
        except Exception:  # noqa: BLE001  # supervises a callback
            _log.exception("fleet_status_lost")


async def _logged(work: Coroutine[object, object, None], name: str) -> None:
    try:
        await work
    except Exception:  # noqa: BLE001  # supervises a task
        _log.exception("background_task_failed", task=name)


def _facts(endpoint: Endpoint) -> dict[str, str]:
    profile = endpoint.spec.profile or endpoint.profile
    return {"endpoint": endpoint.name, "model_version": profile.model_version if profile else ""}
