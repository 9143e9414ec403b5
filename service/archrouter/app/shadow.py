"""Decides again beside the calls: what other policies, or another tier, would have said. No call notices any of it.

Decisions wait in a bounded queue, are made again one at a time while half of the places of admission are free, and are
let go when that takes too long. The shadow has connections of its own, so its failures count for no endpoint of the
calls. Whatever becomes of a decision here, it then goes to the decision log, once.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

import structlog

from archrouter.app.policy_reloader import log_rejected
from archrouter.application.policy_store import PolicyStore
from archrouter.application.router import Router
from archrouter.application.select_route import Decision, SelectRoute
from archrouter.config import ShadowSettings
from archrouter.decision_log.log import DecisionLog
from archrouter.domain.errors import ArchRouterError, BudgetExceededError
from archrouter.inference.fleet import Fleet
from archrouter.observability.metrics import Metrics
from archrouter.policy_files.watch import PolicyWatch

QUEUE_SIZE = 64
"""Decisions that may wait: a batch of the usual size. More would only be older when their turn comes."""

MAX_WAITING_CHARACTERS = 16 * 1024 * 1024
"""Of conversations that wait, so that long ones do not take the memory that as many short ones may."""

ROOM_INTERVAL_S = 0.01
"""Between two looks for a quiet moment, while a decision waits for one."""

REPORT_INTERVAL_S = 60.0
"""Between two lines about failures: a shadow that always fails must not fill the log."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A decision that is to be made again until `deadline_s`, of `monotonic`; `size` is in characters."""

    question: SelectRoute
    decision: Decision
    caller: str
    correlation_id: str
    time: datetime
    deadline_s: float
    size: int


class Shadow:
    """`DecisionRecorder` in front of the decision log. For one event loop; not thread-safe.

    Attributes:
        fleets: Its own; somebody else starts and closes them.
    """

    def __init__(
        self,
        fleets: tuple[Fleet, ...],
        store: PolicyStore,
        router: Router,
        *,
        settings: ShadowSettings,
        has_room: Callable[[], bool],
        metrics: Metrics,
        decision_log: DecisionLog | None = None,
        watch: PolicyWatch | None = None,
    ) -> None:
        """Decide nothing before `run`.

        Args:
            fleets: Those that decide again.
            store: The policy sets that decide again, by the ids of the served ones.
            router: Decides by them, with these fleets.
            settings: How much is decided again, and in what time.
            has_room: Says whether work may begin that no caller waits for.
            metrics: Where results are counted.
            decision_log: Gets each decision in the end; None where there is no log.
            watch: Tells when the policy files change; None where nobody looks.
        """
        self.fleets = fleets
        self._store = store
        self._router = router
        self._settings = settings
        self._has_room = has_room
        self._metrics = metrics
        self._decision_log = decision_log
        self._watch = watch
        self._waiting: deque[_Waiting] = deque()
        self._waiting_characters = 0
        self._filled, self._load_wanted = asyncio.Event(), asyncio.Event()
        self._is_closed = False
        self._failed_count = 0
        self._reported_s = -REPORT_INTERVAL_S

    def record(self, question: SelectRoute, decision: Decision, *, caller: str, correlation_id: str) -> None:
        """Take a decision; see `DecisionRecorder.record`."""
        size = sum(len(message.content) for message in question.messages)
        deadline_s = monotonic() + self._settings.timeout_s
        waiting = _Waiting(question, decision, caller, correlation_id, datetime.now(UTC), deadline_s, size)
        is_picked = random.random() < self._settings.share  # noqa: S311  # a sample, no secret
        if self._is_closed or not is_picked or not self._differs(decision):
            self._pass_on(waiting)
        elif len(self._waiting) >= QUEUE_SIZE or self._waiting_characters + size > MAX_WAITING_CHARACTERS:
            self._count(decision, "queue_full")
            self._pass_on(waiting)
        else:
            self._waiting.append(waiting)
            self._waiting_characters += size
            self._filled.set()

    def load(self) -> None:
        """Have the policy files read, soon."""
        self._load_wanted.set()

    async def run(self) -> None:
        """Decide again until cancelled. A failure that nobody foresaw ends the shadow, and not the service."""
        with structlog.contextvars.bound_contextvars(shadow=True):
            try:
                async with asyncio.TaskGroup() as group:
                    for work in (self._decide(), self._load(), self._look(), *(fleet.run() for fleet in self.fleets)):
                        group.create_task(work)
            except Exception:  # noqa: BLE001  # supervises tasks
                _log.exception("shadow_ended")
                self.close()

    def close(self) -> None:
        """Let go of what waits. Later decisions are not made again."""
        self._is_closed = True
        while self._waiting:
            self._pass_on(self._waiting.popleft())

    def _differs(self, decision: Decision) -> bool:
        """Say whether the shadow could decide otherwise: it has the set, and other policies or another tier for it."""
        loaded = self._store.snapshot.loaded.get(decision.policy_set.id)
        if loaded is None or decision.inline:
            return False
        is_same = loaded.policy_set.revision == decision.policy_set.revision
        return (is_same or bool(self._settings.policies_directory)) if self._settings.tier else not is_same

    async def _decide(self) -> None:
        while True:
            await self._filled.wait()
            if not self._waiting:
                self._filled.clear()
                continue
            waiting = self._waiting[0]  # stays there until it is done, so that `close` passes it on
            again = await self._again(waiting)
            self._waiting.popleft()
            self._waiting_characters -= waiting.size
            self._pass_on(waiting, again)

    async def _again(self, waiting: _Waiting) -> Decision | None:
        """Make a decision again and count what came of it; None where nothing did."""
        decision, again = waiting.decision, None
        remaining_s = waiting.deadline_s - monotonic()
        try:
            async with asyncio.timeout(remaining_s):
                while not self._has_room():  # noqa: ASYNC110  # places get free many times a second
                    await asyncio.sleep(ROOM_INTERVAL_S)
                budget_s = waiting.deadline_s - monotonic()
                again = await self._router.select_route(_question(waiting), budget_s=budget_s)
            result = _comparison(decision, again)
        except (TimeoutError, BudgetExceededError):
            result = "late"
        except Exception as error:  # noqa: BLE001  # supervises a task: one decision that fails must not end the shadow
            result = "failed"
            self._report(error)
        self._count(decision, result)
        return again

    async def _load(self) -> None:
        while True:
            await self._load_wanted.wait()
            self._load_wanted.clear()
            try:
                snapshot = await self._store.reload()
            except Exception:  # noqa: BLE001  # supervises a task: the next load may succeed
                _log.exception("shadow_load_failed")
                continue
            log_rejected(snapshot)
            self._metrics.start_shadow_series(snapshot.loaded)
            revisions = {name: loaded.policy_set.revision for name, loaded in snapshot.loaded.items()}
            _log.info("shadow_policies_loaded", revisions=revisions, rejected_count=len(snapshot.rejected))

    async def _look(self) -> None:
        if self._watch is not None:
            async for _ in self._watch.changes():
                self.load()

    def _pass_on(self, waiting: _Waiting, again: Decision | None = None) -> None:
        if self._decision_log is not None:
            self._decision_log.record(
                waiting.question,
                waiting.decision,
                caller=waiting.caller,
                correlation_id=waiting.correlation_id,
                time=waiting.time,
                shadow=again,
            )

    def _count(self, decision: Decision, result: str) -> None:
        self._metrics.shadow_decisions.labels(decision.policy_set.id, result).inc()

    def _report(self, error: Exception) -> None:
        """Say at most once in an interval how many failed, and why the latest did."""
        self._failed_count += 1
        if monotonic() - self._reported_s >= REPORT_INTERVAL_S:
            reason = str(error) if isinstance(error, ArchRouterError) else type(error).__name__
            _log.warning("shadow_failed", count=self._failed_count, reason=reason)
            self._failed_count, self._reported_s = 0, monotonic()


def _question(waiting: _Waiting) -> SelectRoute:
    """Ask the same of the shadow's set; what the route ticket said is in the rule already."""
    rule = waiting.decision.rule
    rule = replace(rule, stickiness=replace(rule.stickiness, route_ticket=""))
    policy_set_id = waiting.decision.policy_set.id
    return replace(waiting.question, policy_set_id=policy_set_id, policy_set_revision="", rule=rule, explain=False)


def _comparison(decision: Decision, again: Decision) -> str:
    """Name how the second decision differs: by its route, and by the model that comes first."""
    is_same_route = decision.route_id == again.route_id
    is_same_model = decision.models[0].model == again.models[0].model
    if is_same_route:
        return "agrees" if is_same_model else "other_model"
    return "other_route" if is_same_model else "other_route_and_model"
