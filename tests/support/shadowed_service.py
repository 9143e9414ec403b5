"""A running service whose decisions are made again beside the calls, by another policy set and a model of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from tests.support.fakes import FakeSource
from tests.support.rpc_service import SUPPORT, GatedBackend, RpcService, ServiceOptions, eventually, running_service

from archrouter.app.shadow import Shadow
from archrouter.app.wiring import SystemClock
from archrouter.application.policy_store import PolicyStore
from archrouter.application.router import Router
from archrouter.config import PoliciesSettings, ServerSettings, ShadowSettings
from archrouter.decision_log.log import DecisionLog
from archrouter.domain.policy import ModelTarget, PolicySet
from archrouter.observability.metrics import SHADOW_RESULTS, Metrics
from archrouter.rpc.admission import Admission

OTHER_SETTINGS = ShadowSettings(policies_directory="other", timeout_s=60.0)

CODER, REFUND, CRASH, THANKS, MAGIC = (
    "some source code",
    "a refund of the invoice",
    "repairing a crash of source code",
    "thanks",
    "xyzzy",
)
"""Messages of which the set below decides, in turn: the same, another model, another route, the same, both."""

OTHER_SUPPORT = replace(
    SUPPORT,
    routes=(
        SUPPORT.routes[0],
        replace(SUPPORT.routes[1], description="xyzzy", models=(ModelTarget("m/unused"),)),
        replace(SUPPORT.routes[2], models=(ModelTarget("m/smaller"),)),
    ),
)


@dataclass(frozen=True, slots=True)
class ShadowedService:
    """The service, what decides again, and the model that it asks."""

    service: RpcService
    shadow: Shadow
    model: GatedBackend

    def counts(self) -> dict[str, int]:
        """Read what became of the decisions, without what never happened."""
        name = "archrouter_shadow_decisions_total"
        found = {one: self.service.metric(name, policy_set="support", result=one) for one in SHADOW_RESULTS}
        return {result: int(count) for result, count in found.items() if count}

    async def settled(self, count: int) -> dict[str, int]:
        """Wait until something became of so many decisions."""
        await eventually(lambda: sum(self.counts().values()) >= count)
        return self.counts()


@asynccontextmanager
async def shadowed_service(
    *sets: PolicySet,
    settings: ShadowSettings = OTHER_SETTINGS,
    server: ServerSettings | None = None,
    policies: PoliciesSettings | None = None,
    decision_log: DecisionLog | None = None,
) -> AsyncIterator[ShadowedService]:
    """Serve `SUPPORT`, with these sets as the shadow's, loaded; by default `OTHER_SUPPORT`."""
    model, source, made = GatedBackend(), FakeSource(*(sets or (OTHER_SUPPORT,))), []
    store = PolicyStore(source, model, SystemClock(), default_id="")

    def make(metrics: Metrics, admission: Admission) -> Shadow:
        router = Router(store, model, SystemClock(), ServiceOptions().limits, min_budget_s=0.0, deadline_margin_s=0.0)
        made.append(
            Shadow(
                (),
                store,
                router,
                settings=settings,
                has_room=admission.has_half_free,
                metrics=metrics,
                decision_log=decision_log,
            )
        )
        return made[0]

    usual = ServiceOptions(decision_log=make)
    options = replace(usual, server=server or usual.server, policies=policies or usual.policies)
    async with running_service(options) as service:
        (shadow,) = made
        running = asyncio.create_task(shadow.run())
        shadow.load()
        await eventually(lambda: store.snapshot.loaded)
        try:
            yield ShadowedService(service, shadow, model)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            shadow.close()
