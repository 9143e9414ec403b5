"""What the gRPC edge is built from."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from archrouter.application.policy_store import PolicySnapshot, PolicyStore
from archrouter.application.ports import DecisionRecorder
from archrouter.application.router import RequestLimits, Router
from archrouter.config import PoliciesSettings, RoutingSettings, ServerSettings
from archrouter.domain.findings import Finding
from archrouter.domain.policy import PolicySet
from archrouter.domain.scoring import BackendProfile
from archrouter.observability.metrics import Metrics
from archrouter.rpc.admission import Admission
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.health import Health
from archrouter.rpc.tls import ServerTls
from archrouter.rpc.tracing import StartSpan

PolicyTextParser = Callable[[str], tuple[PolicySet | None, tuple[Finding, ...]]]
"""Reads the text of a policy file: the set, None when it is not valid, and the findings. Never raises for the text."""


@dataclass(frozen=True, slots=True)
class RpcDependencies:
    """Everything the servicers and the pipeline need.

    Attributes:
        admission: The places for decisions.
        profile: Gives the model behind the router; None while it has not answered yet.
        reload_policies: Loads the policy files again and returns what serves then.
        authenticator: Knows the callers; None for an open server.
        tls: Certificates of the listener; None to serve in plaintext.
        decision_log: Keeps decisions; None where nobody does.
        start_span: Starts the span of a call; None where nobody traces.
    """

    server: ServerSettings
    policies: PoliciesSettings
    routing: RoutingSettings
    limits: RequestLimits
    router: Router
    store: PolicyStore
    metrics: Metrics
    health: Health
    admission: Admission
    profile: Callable[[], BackendProfile | None]
    parse_policy_text: PolicyTextParser
    reload_policies: Callable[[], Awaitable[PolicySnapshot]]
    version: str
    authenticator: Authenticator | None = None
    tls: ServerTls | None = None
    decision_log: DecisionRecorder | None = None
    start_span: StartSpan | None = None
