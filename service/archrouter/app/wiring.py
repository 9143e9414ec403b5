"""Builds the parts of the service from its settings."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from archrouter import __version__
from archrouter.adapters.bundle.loader import PromptBundle, load_bundle
from archrouter.adapters.bundle.manifest import BundleError
from archrouter.adapters.clock import SystemClock
from archrouter.adapters.engines_yaml import EngineSpec, load_engines
from archrouter.adapters.policy_directory import PolicyDirectory
from archrouter.adapters.policy_yaml import load_policy_set
from archrouter.adapters.triton.compact_backend import CompactBackend
from archrouter.adapters.triton.connection import TritonConnection
from archrouter.adapters.triton.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.adapters.triton.language_model_backend import LanguageModelBackend
from archrouter.adapters.triton.tensors import PARAMETER_MODEL_DIRECTORY, PARAMETER_MODEL_VERSION
from archrouter.app.engine_fleet import EngineFleet
from archrouter.app.engine_pool import EnginePool, PooledEngine
from archrouter.application.policy_store import PolicySnapshot, PolicyStore
from archrouter.application.ports import ScoringBackend
from archrouter.application.router import Router
from archrouter.application.select_route import RequestLimits
from archrouter.config import Settings
from archrouter.domain.scoring import BackendProfile
from archrouter.observability.metrics import Metrics
from archrouter.rpc.credentials import Credentials
from archrouter.rpc.dependencies import RpcDependencies
from archrouter.rpc.health import Health


@dataclass(frozen=True, slots=True)
class Core:
    """The decision-making parts, before anything listens."""

    backend: ScoringBackend
    store: PolicyStore
    router: Router


def load_engine_bundle(settings: Settings) -> PromptBundle | None:
    """Read the prompt bundle where the language model decides.

    Args:
        settings: The configuration.

    Returns:
        The bundle; None in compact mode, and where an engines file names the bundles.

    Raises:
        BundleError: When it cannot be used, or none is configured.
    """
    if settings.routing.mode != "engine" or settings.triton.engines_file:
        return None
    if not settings.triton.bundle_directory:
        msg = "routing.mode is engine, but no bundle is configured; set triton.bundle_directory or triton.engines_file"
        raise BundleError(msg)
    return load_bundle(Path(settings.triton.bundle_directory))


def build_engine_pool(settings: Settings) -> EnginePool | None:
    """Prepare for several engines where an engines file is configured.

    Args:
        settings: The configuration.

    Returns:
        A pool without engines; None where there is one endpoint.

    Raises:
        ValueError: When the file contradicts another setting.
    """
    if not settings.triton.engines_file:
        return None
    contradictions = {
        "routing.mode is compact": settings.routing.mode != "engine",
        "triton.bundle_directory is set": bool(settings.triton.bundle_directory),
        "embedded.enabled is true": settings.embedded.enabled,
    }
    for name, applies in contradictions.items():
        if applies:
            msg = f"triton.engines_file is set, but {name}; change one of the two"
            raise ValueError(msg)
    return EnginePool()


def build_embedded_triton(settings: Settings, bundle: PromptBundle | None) -> EmbeddedTriton | None:
    """Prepare the embedded Triton with the model of the configured mode.

    Args:
        settings: The configuration.
        bundle: What the language model is served from; None in compact mode.

    Returns:
        A server that has not been started; None when none is wanted.
    """
    if not settings.embedded.enabled:
        return None
    model = EmbeddedModel(settings.triton.compact_model)
    if bundle is not None:
        model = EmbeddedModel(
            settings.embedded.engine_model,
            {
                PARAMETER_MODEL_DIRECTORY: str(bundle.model_directory.resolve()),
                PARAMETER_MODEL_VERSION: bundle.profile.model_version,
            },
        )
    return EmbeddedTriton(
        model_repository=Path(settings.embedded.model_repository),
        models=(model,),
        start_timeout_s=settings.embedded.start_timeout_s,
    )


def build_backend(settings: Settings, endpoint: str, bundle: PromptBundle | None, metrics: Metrics) -> ScoringBackend:
    """Wire the one model of a configuration without an engines file.

    Args:
        settings: The configuration.
        endpoint: HOST:PORT of Triton's gRPC.
        bundle: What the language model was trained with; None in compact mode.
        metrics: Where calls to Triton are counted.

    Returns:
        A backend that has sent nothing yet.
    """
    connection = _connection(settings, endpoint, metrics)
    if bundle is None:
        return CompactBackend(connection, settings.triton.compact_model)
    embedded = settings.embedded.enabled
    model = settings.embedded.engine_model if embedded else settings.triton.engine_model
    return LanguageModelBackend(connection, model, bundle)


def build_core(settings: Settings, backend: ScoringBackend) -> Core:
    """Wire policy store and router around a backend.

    Args:
        settings: The configuration.
        backend: The model.

    Returns:
        Parts that have loaded nothing yet.
    """
    clock = SystemClock()
    source = PolicyDirectory(Path(settings.policies.directory))
    store = PolicyStore(source, backend, clock, default_id=settings.policies.default)
    router = Router(
        store,
        backend,
        clock,
        request_limits(settings),
        inline_enabled=settings.policies.inline_enabled,
        min_budget_s=settings.routing.min_budget_s,
        deadline_margin_s=settings.triton.deadline_margin_s,
    )
    return Core(backend, store, router)


def build_engine_fleet(
    settings: Settings,
    pool: EnginePool,
    store: PolicyStore,
    on_change: Callable[[bool], None],
    *,
    metrics: Metrics,
    health: Health,
) -> EngineFleet:
    """Wire what keeps the pool in step with the engines file.

    Args:
        settings: The configuration.
        pool: What the router sees.
        store: Policy sets that a new engine is prepared for.
        on_change: Called with whether any engine takes calls, when that changes.
        metrics: Where calls to Triton and engines are counted.
        health: State of the components.

    Returns:
        A fleet that has read and sent nothing yet.
    """

    def make_engine(spec: EngineSpec) -> PooledEngine:
        backend = LanguageModelBackend(_connection(settings, spec.endpoint, metrics), spec.model, spec.bundle)
        return PooledEngine(spec.name, backend, store.served_policy_sets)

    return EngineFleet(
        pool,
        lambda: load_engines(Path(settings.triton.engines_file), settings.triton.engine_model),
        make_engine,
        on_change,
        metrics=metrics,
        health=health,
        interval_s=settings.triton.health_interval_s,
        warm_up_timeout_s=settings.triton.warm_up_timeout_s,
    )


def build_rpc_dependencies(
    settings: Settings,
    core: Core,
    *,
    metrics: Metrics,
    health: Health,
    profile: Callable[[], BackendProfile | None],
    reload_policies: Callable[[], Awaitable[PolicySnapshot]],
) -> RpcDependencies:
    """Gather what the gRPC edge needs.

    Args:
        settings: The configuration.
        core: The decision-making parts.
        metrics: Where calls and decisions are counted.
        health: State of the components.
        profile: Gives the model that decides; None while none has answered yet.
        reload_policies: Loads the policy files anew and returns what serves then.

    Returns:
        The dependencies.

    Raises:
        ValueError: When the tokens file is malformed.
        OSError: When it cannot be read.
    """
    tokens_file = settings.auth.tokens_file
    return RpcDependencies(
        server=settings.server,
        policies=settings.policies,
        routing=settings.routing,
        limits=request_limits(settings),
        router=core.router,
        store=core.store,
        clock=SystemClock(),
        metrics=metrics,
        health=health,
        profile=profile,
        parse_policy_text=load_policy_set,
        reload_policies=reload_policies,
        version=__version__,
        credentials=Credentials.from_text(Path(tokens_file).read_text()) if tokens_file else None,
    )


def request_limits(settings: Settings) -> RequestLimits:
    """Take the limits of a request from the settings."""
    return RequestLimits(
        max_messages=settings.limits.max_messages,
        max_message_characters=settings.limits.max_message_characters,
        max_batch_size=settings.limits.max_batch_size,
        max_inline_routes=settings.limits.max_inline_routes,
    )


def _connection(settings: Settings, endpoint: str, metrics: Metrics) -> TritonConnection:
    return TritonConnection(
        endpoint,
        max_concurrent_requests=settings.triton.max_concurrent_requests,
        count_request=metrics.count_backend_request,
    )
