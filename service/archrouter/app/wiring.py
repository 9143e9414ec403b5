"""Builds the parts of the service from its settings."""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from archrouter.app.security import Security
from archrouter.app.shadow import Shadow
from archrouter.application.policy_store import PolicySnapshot, PolicyStore
from archrouter.application.ports import DecisionRecorder, ScoringBackend
from archrouter.application.router import RequestLimits, Router
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.manifest import BundleError
from archrouter.config import RoutingSettings, Settings
from archrouter.decision_log.log import DecisionLog
from archrouter.domain.scoring import BackendProfile, Tier
from archrouter.domain.ticket import Tickets
from archrouter.inference.connect import connect
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.endpoint import EndpointList, EndpointSpec
from archrouter.inference.endpoints_file import load_endpoints
from archrouter.inference.fleet import Fleet
from archrouter.inference.roster import FleetStatus
from archrouter.inference.tiers import Tiers
from archrouter.observability.metrics import Metrics
from archrouter.policy_files.directory import PolicyDirectory
from archrouter.policy_files.policies import load_policy_set
from archrouter.policy_files.state import PolicyState
from archrouter.policy_files.watch import PolicyWatch
from archrouter.rpc.admission import Admission
from archrouter.rpc.dependencies import RpcDependencies
from archrouter.rpc.health import Health
from archrouter.version import VERSION

if TYPE_CHECKING:
    from archrouter.observability.tracing import Tracing


class SystemClock:
    """`Clock` over the operating system."""

    monotonic_s = staticmethod(time.perf_counter)
    now = staticmethod(partial(datetime.now, UTC))


@dataclass(frozen=True, slots=True)
class Core:
    """The decision-making parts, before anything listens.

    Attributes:
        fleets: Those that may decide, the engine's first.
        store: The policy sets.
        router: The use case.
        admission: The places for decisions.
    """

    fleets: tuple[Fleet, ...]
    store: PolicyStore
    router: Router
    admission: Admission

    def profile(self) -> BackendProfile | None:
        """Return the facts of the model that has the last word; None while no model has answered."""
        return next((profile for profile in self.profiles() if profile is not None), None)

    def profiles(self) -> list[BackendProfile | None]:
        """List the facts of each tier's model, which is None while it has not answered."""
        return [fleet.profile for fleet in self.fleets]


ListReaders = Mapping[Tier, Callable[[], EndpointList]]
"""Where each tier that may decide has its list of endpoints from, the engine's first."""


def load_engine_bundle(settings: Settings) -> PromptBundle | None:
    """Read the prompt bundle where the language model decides; None where an endpoints file names the bundles."""
    mode = settings.routing.mode
    if Tier.ENGINE not in _wired_tiers(settings) or settings.triton.endpoints_file:
        return None
    if not settings.triton.bundle_directory:
        wanted = "shadow.tier is engine" if mode == "compact" else f"routing.mode is {mode}"
        msg = f"{wanted}, but there is no bundle; set triton.bundle_directory or triton.endpoints_file"
        raise BundleError(msg)
    return load_bundle(Path(settings.triton.bundle_directory))


def build_embedded_triton(settings: Settings, bundle: PromptBundle | None) -> EmbeddedTriton | None:
    """Prepare the embedded Triton where it is wanted: not started yet, but with its port until it is closed."""
    if not settings.embedded.enabled:
        return None
    models = []
    if bundle is not None:
        models.append(EmbeddedModel(settings.embedded.engine_model, bundle.model_parameters))
    if Tier.COMPACT in _wired_tiers(settings) and not settings.triton.compact_endpoint:
        models.append(EmbeddedModel(settings.triton.compact_model))
    triton = EmbeddedTriton(
        model_repository=Path(settings.embedded.model_repository),
        models=tuple(models),
        start_timeout_s=settings.embedded.start_timeout_s,
    )
    triton.reserve()
    return triton


def endpoint_readers(settings: Settings, bundle: PromptBundle | None, triton: EmbeddedTriton | None) -> ListReaders:
    """Choose where the lists of endpoints come from: the endpoints file, or the one endpoint of the settings."""
    address = triton.endpoint if triton else settings.triton.endpoint
    if settings.triton.endpoints_file:
        _refuse_contradictions(settings)
    readers: dict[Tier, Callable[[], EndpointList]] = {}
    for tier in _wired_tiers(settings):
        if tier is Tier.COMPACT:
            spec = EndpointSpec(settings.triton.compact_endpoint or address, settings.triton.compact_model)
            readers[tier] = partial(EndpointList, (spec,), ())
        elif settings.triton.endpoints_file:
            file = Path(settings.triton.endpoints_file)
            readers[tier] = partial(load_endpoints, file, settings.triton.engine_model, load_bundle)
        else:
            model = settings.embedded.engine_model if triton else settings.triton.engine_model
            readers[tier] = partial(EndpointList, (EndpointSpec(address, model, bundle),), ())
    return readers


def embedded_endpoints(readers: ListReaders, triton: EmbeddedTriton) -> tuple[EndpointSpec, ...]:
    """Choose the endpoints that the embedded Triton serves."""
    return tuple(spec for read in readers.values() for spec in read().endpoints if spec.address == triton.endpoint)


def build_core(
    settings: Settings,
    readers: ListReaders,
    on_change: Callable[[Tier, FleetStatus], None],
    metrics: Metrics,
    tickets: Tickets,
    tracing: "Tracing | None",
) -> Core:
    """Wire a fleet for each tier, and policy store and router around them; nothing is loaded yet."""
    clock = SystemClock()
    start_step = tracing.step_span if tracing else nullcontext
    connection = partial(
        connect,
        max_concurrent_requests=settings.triton.max_concurrent_requests,
        count_request=metrics.backend_requests.labels,
        start_span=tracing.client_span if tracing else None,
        start_step=start_step,
    )
    fleets = {
        tier: Fleet(readers[tier], connection, partial(on_change, tier), settings.triton) for tier in _tiers(settings)
    }
    backend = _backend(settings.routing, fleets)
    policies = Path(settings.policies.directory)
    state = settings.policies.state_directory
    store = PolicyStore(
        PolicyDirectory(policies),
        backend,
        clock,
        default_id=settings.policies.default,
        kept_revisions=settings.policies.kept_revisions,
        memory=PolicyState(Path(state), policies) if state else None,
    )
    router = Router(
        store,
        backend,
        clock,
        _request_limits(settings),
        min_budget_s=settings.routing.min_budget_s,
        deadline_margin_s=settings.triton.deadline_margin_s,
        tickets=tickets,
        start_step=start_step,
    )
    server = settings.server
    admission = Admission(server.max_concurrent_calls, server.latency_tolerance, metrics.admission_limit.set)
    return Core(tuple(fleets.values()), store, router, admission)


def build_shadow(
    settings: Settings,
    readers: ListReaders,
    core: Core,
    metrics: Metrics,
    decision_log: DecisionLog | None,
) -> Shadow | None:
    """Wire what decides again, where it is wanted: fleets of its own, so that no failure of theirs is the calls'."""
    wanted = settings.shadow
    if not (wanted.policies_directory or wanted.tier):
        return None
    tiers = (Tier(wanted.tier),) if wanted.tier else _tiers(settings)
    if not wanted.policies_directory and tiers == _tiers(settings):
        msg = f"shadow.tier is {wanted.tier}, which decides alone already; name another, or shadow.policies_directory"
        raise ValueError(msg)
    connection, clock = partial(connect, max_concurrent_requests=1), SystemClock()
    fleets = {tier: Fleet(readers[tier], connection, lambda _status: None, settings.triton) for tier in tiers}
    backend, policies = _backend(settings.routing, fleets), settings.policies
    directory = Path(wanted.policies_directory or policies.directory)
    store = PolicyStore(PolicyDirectory(directory), backend, clock, default_id="")
    looks = policies.watch_enabled and bool(wanted.policies_directory)  # else each load of the served ones tells
    return Shadow(
        tuple(fleets.values()),
        store,
        Router(store, backend, clock, _request_limits(settings), min_budget_s=0.0, deadline_margin_s=0.0),
        settings=wanted,
        has_room=core.admission.has_half_free,
        metrics=metrics,
        decision_log=decision_log,
        watch=PolicyWatch(directory, interval_s=policies.watch_interval_s) if looks else None,
    )


def build_rpc_dependencies(
    settings: Settings,
    core: Core,
    *,
    metrics: Metrics,
    health: Health,
    reload_policies: Callable[[], Awaitable[PolicySnapshot]],
    security: Security,
    decision_log: DecisionRecorder | None,
    tracing: "Tracing | None",
) -> RpcDependencies:
    """Gather what the gRPC edge needs."""
    return RpcDependencies(
        server=settings.server,
        policies=settings.policies,
        routing=settings.routing,
        limits=_request_limits(settings),
        router=core.router,
        store=core.store,
        metrics=metrics,
        health=health,
        admission=core.admission,
        profile=core.profile,
        parse_policy_text=load_policy_set,
        reload_policies=reload_policies,
        version=VERSION,
        authenticator=security.authenticator,
        tls=security.tls,
        decision_log=decision_log,
        start_span=tracing.server_span if tracing else None,
    )


def _request_limits(settings: Settings) -> RequestLimits:
    return RequestLimits(**settings.limits.model_dump())


def _tiers(settings: Settings) -> tuple[Tier, ...]:
    """List the tiers that may decide, the engine first."""
    if settings.routing.mode == "compact":
        return (Tier.COMPACT,)
    both = settings.routing.mode == "cascade" or settings.routing.on_engine_failure == "compact"
    return (Tier.ENGINE, Tier.COMPACT) if both else (Tier.ENGINE,)


def _wired_tiers(settings: Settings) -> tuple[Tier, ...]:
    """List the tiers that may decide or decide again, the engine first."""
    shadow = settings.shadow.tier
    return tuple(tier for tier in Tier if tier in _tiers(settings) or tier.value == shadow)


def _backend(routing: RoutingSettings, fleets: Mapping[Tier, Fleet]) -> ScoringBackend:
    """Put the tiers together; a single one needs nothing around it."""
    if len(fleets) == 1:
        return next(iter(fleets.values()))
    return Tiers(fleets[Tier.ENGINE], fleets[Tier.COMPACT], routing)


def _refuse_contradictions(settings: Settings) -> None:
    contradictions = {
        "routing.mode is compact": Tier.ENGINE not in _wired_tiers(settings),
        "triton.bundle_directory is set": bool(settings.triton.bundle_directory),
        "embedded.enabled is true": settings.embedded.enabled,
    }
    for name, applies in contradictions.items():
        if applies:
            msg = f"triton.endpoints_file is set, but {name}; change one of the two"
            raise ValueError(msg)
