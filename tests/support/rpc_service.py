"""The whole gRPC edge in process: a real server on a free loopback port, a fake model behind it, real clients."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status
from prometheus_client import CollectorRegistry
from tests.support.fake_backend import FAKE_PROFILE, FakeBackend
from tests.support.fakes import FakeSource

from archrouter import v1
from archrouter.app.wiring import SystemClock
from archrouter.application.policy_store import PolicyStore
from archrouter.application.ports import DecisionRecorder
from archrouter.application.router import RequestLimits, Router
from archrouter.config import PoliciesSettings, RoutingSettings, ServerSettings
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.scoring import BackendProfile, Scoring, ScoringRequest
from archrouter.observability.metrics import Metrics
from archrouter.policy_files.policies import load_policy_set
from archrouter.rpc.admission import Admission
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.authentication.callers import Callers
from archrouter.rpc.dependencies import RpcDependencies
from archrouter.rpc.health import Component, Health
from archrouter.rpc.server import build_server
from archrouter.rpc.tls import ServerTls
from archrouter.rpc.tracing import StartSpan

if TYPE_CHECKING:
    from archrouter.v1 import PolicyServiceAsyncStub, RoutingServiceAsyncStub

VERSION = "9.8.7"

SUPPORT = PolicySet(
    id="support",
    description="Customer support",
    routes=(
        RoutePolicy(
            "programming",
            "programming",
            "",
            "anything about source code",
            (ModelTarget("m/coder"), ModelTarget("m/big")),
        ),
        RoutePolicy(
            "programming_bug_fixing",
            "programming",
            "bug_fixing",
            "repairing a crash or an error",
            (ModelTarget("m/coder", '{"temperature":0}'),),
        ),
        RoutePolicy("billing", "", "", "an invoice, a price or a refund", (ModelTarget("m/small"),), 0.25),
    ),
    fallback_models=(ModelTarget("m/general"),),
)

ResponseT = TypeVar("ResponseT")


class GatedBackend(FakeBackend):
    """A fake model that answers only while its gate is open, and knows who is waiting and who gave up."""

    def __init__(self, profile: BackendProfile = FAKE_PROFILE) -> None:
        """Start with an open gate."""
        super().__init__(profile)
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.crash: Exception | None = None
        self.timeouts_s: list[float] = []
        self.policy_sets: list[PolicySet] = []

    async def score(self, request: ScoringRequest, *, timeout_s: float) -> Scoring:
        """Wait at the gate, then score."""
        self.timeouts_s.append(timeout_s)
        self.policy_sets.append(request.policy_set)
        self.waiting.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.crash is not None:
            raise self.crash
        return await super().score(request, timeout_s=timeout_s)


@dataclass(slots=True)
class RpcService:
    """A running service and everything a test wants to turn or look at."""

    port: int
    server: aio.Server
    channel: aio.Channel
    backend: GatedBackend
    source: FakeSource
    store: PolicyStore
    health: Health
    registry: CollectorRegistry
    profile: BackendProfile | None

    @property
    def routing(self) -> "RoutingServiceAsyncStub":
        """A client of RoutingService."""
        return v1.RoutingServiceStub(self.channel)

    @property
    def policies(self) -> "PolicyServiceAsyncStub":
        """A client of PolicyService."""
        return v1.PolicyServiceStub(self.channel)

    def metric(self, name: str, **labels: str) -> float | None:
        """Read one sample; None when the series does not exist."""
        return self.registry.get_sample_value(name, labels)


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How the service of one test differs from an ordinary one."""

    server: ServerSettings = field(default_factory=lambda: ServerSettings(listen="127.0.0.1:0"))
    policies: PoliciesSettings = field(default_factory=lambda: PoliciesSettings(default="support"))
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    limits: RequestLimits = field(
        default_factory=lambda: RequestLimits(
            max_messages=256, max_message_characters=1000, max_batch_size=8, max_inline_routes=4
        )
    )
    sets: tuple[PolicySet, ...] = (SUPPORT,)
    authenticator: Authenticator | None = None
    tls: ServerTls | None = None
    decision_log: DecisionRecorder | Callable[[Metrics, Admission], DecisionRecorder] | None = None
    start_span: StartSpan | None = None


@asynccontextmanager
async def running_service(options: ServiceOptions | None = None) -> AsyncIterator[RpcService]:
    """Serve with everything ready, and stop at the end."""
    wanted = options or ServiceOptions()
    clock, backend, source, health = SystemClock(), GatedBackend(), FakeSource(*wanted.sets), Health()
    store = PolicyStore(source, backend, clock, default_id=wanted.policies.default)
    await store.reload()
    registry = CollectorRegistry()
    metrics = Metrics(registry, version=VERSION)
    metrics.start_policy_set_series(store.snapshot.loaded)
    for component in Component:
        health.set_ready(component, ready=True)
    router = Router(
        store,
        backend,
        clock,
        wanted.limits,
        min_budget_s=wanted.routing.min_budget_s,
        deadline_margin_s=0.0,
    )
    admission = Admission(
        wanted.server.max_concurrent_calls, wanted.server.latency_tolerance, metrics.admission_limit.set
    )
    recorder = wanted.decision_log
    services: list[RpcService] = []
    server, port = build_server(
        RpcDependencies(
            server=wanted.server,
            policies=wanted.policies,
            routing=wanted.routing,
            limits=wanted.limits,
            router=router,
            store=store,
            metrics=metrics,
            health=health,
            admission=admission,
            profile=lambda: services[0].profile,
            parse_policy_text=load_policy_set,
            reload_policies=store.reload,
            version=VERSION,
            authenticator=wanted.authenticator,
            tls=wanted.tls,
            decision_log=recorder(metrics, admission) if callable(recorder) else recorder,
            start_span=wanted.start_span,
        )
    )
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        services.append(RpcService(port, server, channel, backend, source, store, health, registry, backend.profile))
        await server.start()
        try:
            yield services[0]
        finally:
            health.close()
            await server.stop(0)


def known_tokens(**scopes: str) -> Authenticator:
    """Accept, by name, the tokens ``{name}-token``, each with its scopes."""
    lines = [f"{hashlib.sha256(f'{name}-token'.encode()).hexdigest()} {name} {of}" for name, of in scopes.items()]
    return Authenticator(Callers.from_text("\n".join(lines)))


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Build the metadata of a caller with a token."""
    return (("authorization", f"Bearer {token}"),)


def user_says(
    content: str, *, view: v1.DecisionView.ValueType = v1.DecisionView.DECISION_VIEW_BASIC
) -> v1.SelectRouteRequest:
    """Build a request with one user message."""
    return v1.SelectRouteRequest(messages=[v1.Message(role=v1.Role.ROLE_USER, content=content)], view=view)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rich status as its receiver reads it."""

    code: grpc.StatusCode
    message: str
    info: error_details_pb2.ErrorInfo
    further: tuple[Message, ...]
    decision_id: str = ""

    @property
    def summary(self) -> tuple[grpc.StatusCode, str, dict[str, str]]:
        """Code, reason and metadata."""
        return self.code, self.info.reason, dict(self.info.metadata)


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until something is true that the server does after its client has the answer."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


_FURTHER_KINDS: dict[str, type[Message]] = {
    "google.rpc.BadRequest": error_details_pb2.BadRequest,
    "google.rpc.PreconditionFailure": error_details_pb2.PreconditionFailure,
    "google.rpc.RequestInfo": error_details_pb2.RequestInfo,
    "google.rpc.ResourceInfo": error_details_pb2.ResourceInfo,
    "google.rpc.RetryInfo": error_details_pb2.RetryInfo,
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def read_status(status: status_pb2.Status, decision_id: str = "") -> Refusal:
    """Unpack a rich status; its first detail must be the ErrorInfo of this service."""
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == "archrouter"
    further = []
    for packed in status.details[1:]:
        detail = _FURTHER_KINDS[packed.TypeName()]()
        assert packed.Unpack(detail)
        further.append(detail)
    return Refusal(_CODES[status.code], status.message, info, tuple(further), decision_id)


async def refusal_of(call: Awaitable[ResponseT]) -> Refusal:
    """Wait for a call that must fail, and read what came over the wire."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    assert status is not None, f"no rich status: {caught.value!r}"
    return read_status(status, str(caught.value.trailing_metadata()["archrouter-decision-id"]))
