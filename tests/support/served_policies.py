"""A whole service in this process over a folder of policies and a real Triton, and what its callers see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from grpc import aio
from tests.support.service_runs import service_in_process

from archrouter import v1
from archrouter.config import PoliciesSettings, RoutingSettings, ServerSettings, Settings, TritonSettings
from archrouter.policy_files.policies import load_policy_set

TIMEOUT_S = 20.0
REQUEST = v1.SelectRouteRequest(
    messages=[v1.Message(role=v1.Role.ROLE_USER, content="my python script crashes with a KeyError, please fix it")]
)


def revision_of(text: str) -> str:
    """Compute the revision of a policy file."""
    policy_set, _ = load_policy_set(text)
    assert policy_set is not None
    return policy_set.revision


@dataclass
class Running:
    """A service in this process and a channel to it."""

    folder: Path
    channel: aio.Channel

    async def decide(self, **fields: str) -> v1.Decision:
        """Ask for a decision, without retries."""
        request = v1.SelectRouteRequest(**fields)  # type: ignore[arg-type]  # fields of text only
        request.MergeFrom(REQUEST)
        stub: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(self.channel)
        return (await stub.SelectRoute(request, timeout=5)).decision

    async def reload(self) -> v1.ReloadPolicySetsResponse:
        """Ask for a reload, as the operator on this machine."""
        stub: v1.PolicyServiceAsyncStub = v1.PolicyServiceStub(self.channel)
        return await stub.ReloadPolicySets(v1.ReloadPolicySetsRequest(), timeout=TIMEOUT_S)

    async def serves(self, text: str) -> v1.Decision:
        """Wait until decisions are made by the revision of a text."""
        async with asyncio.timeout(TIMEOUT_S):
            while (decision := await self.decide()).policy_set_revision != revision_of(text):
                await asyncio.sleep(0.05)
        return decision

    async def warns(self, *, stale: bool) -> v1.Decision:
        """Wait until decisions say whether the policy set is stale."""
        async with asyncio.timeout(TIMEOUT_S):
            while is_stale(decision := await self.decide()) != stale:
                await asyncio.sleep(0.05)
        return decision


def is_stale(decision: v1.Decision) -> bool:
    """Say whether a decision warns that its policy file is unusable."""
    return any(one.code == v1.WarningCode.WARNING_CODE_POLICY_SET_STALE for one in decision.warnings)


@asynccontextmanager
async def serving(
    triton: str, policies: PoliciesSettings, folder: Path, routing: RoutingSettings | None = None
) -> AsyncIterator[Running]:
    """Run the whole service in this process over a Triton; see `service_in_process`."""
    settings = Settings(
        server=ServerSettings(listen="127.0.0.1:0", drain_delay_s=0.0, shutdown_grace_s=1.0),
        policies=policies,
        routing=routing or RoutingSettings(),
        triton=TritonSettings(endpoint=triton),
    )
    async with service_in_process(settings, folder) as running:
        yield Running(Path(policies.directory), running.channel)
