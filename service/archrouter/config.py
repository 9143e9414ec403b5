"""The configuration: every key, its default, unit and range, in one place.

A value comes from a flag, else from the environment, else from the configuration file, else from its default here.
``docs/configuration.md`` is generated from this module.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

ENV_PREFIX = "ARCHROUTER_"

CLIENT_TOKEN_ENV = "ARCHROUTER_TOKEN"  # noqa: S105  # the name of the variable
"""Holds the token that commands send; no setting of the service, though it begins like one."""

_ADDRESS = re.compile(r"(?P<host>[^\s:/\[\]]*|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_MAX_PORT = 65535


def split_address(address: str) -> tuple[str, int]:
    """Read ``HOST:PORT``: the host without brackets, empty for every interface, and the port in [0, 65535].

    An IPv6 address stands in brackets. ValueError, with what it must be, for anything else.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > _MAX_PORT:
        msg = f"HOST:PORT with a port of at most {_MAX_PORT}, e.g. 127.0.0.1:9090 or [::1]:9090"
        raise ValueError(msg)
    return match["host"].strip("[]"), int(match["port"])


def _checked_address(address: str) -> str:
    split_address(address)
    return address


Address = Annotated[str, AfterValidator(_checked_address)]
"""HOST:PORT; see `split_address`."""

AddressOrNone = Annotated[str, AfterValidator(lambda address: address and _checked_address(address))]
"""The same, or empty."""


class _Section(BaseModel):
    """A group of keys: immutable, and strict about names so that a typo never passes for a setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    """The gRPC listener."""

    listen: Address = Field("127.0.0.1:50051", description="HOST:PORT to serve gRPC on; port 0 takes a free one.")
    max_concurrent_calls: int = Field(
        64,
        ge=1,
        description="Decisions made at a time at most; each item of a batch is one. "
        "A call that finds no room is refused with RESOURCE_EXHAUSTED at once.",
    )
    latency_tolerance: float = Field(
        2.0,
        ge=0,
        description="How many times its latency without load a decision may take before fewer than "
        "max_concurrent_calls are made at a time; 0 never makes fewer.",
    )
    processes: int = Field(
        1,
        ge=1,
        description="Server processes that share the port, each with all of these limits to itself. A connection stays "
        "with one of them, so clients need several connections to use more.",
    )
    max_streams_per_connection: int = Field(
        256,
        ge=1,
        description="Open calls of one connection, probes and unfinished requests included; "
        "the client's own library holds back what exceeds it.",
    )
    max_receive_bytes: int = Field(
        4 * 1024 * 1024,
        ge=1024,
        le=256 * 1024 * 1024,
        description="Largest request, in bytes. Up to four times as much is read, to say what is wrong.",
    )
    max_connection_age_s: float = Field(
        600.0,
        gt=0,
        description="Seconds after which a connection, idle or not, is closed once its calls are done "
        "or server.shutdown_grace_s is over, so that clients rebalance.",
    )
    keepalive_s: float = Field(
        60.0, gt=0, description="Seconds of silence after which a client is asked whether it is still there."
    )
    reflection_enabled: Literal["auto", "true", "false"] = Field(
        "auto", description="Serve gRPC reflection; auto: unless callers must authenticate."
    )
    drain_delay_s: float = Field(
        0.0, ge=0, description="Seconds between NOT_SERVING and the stop of the listener, for load balancers."
    )
    shutdown_grace_s: float = Field(10.0, ge=0, description="Seconds that running calls get to finish on shutdown.")
    tls_certificate_file: str = Field(
        "", description="PEM certificate chain; empty serves without TLS. Read again when it changes, as its key is."
    )
    tls_private_key_file: str = Field("", description="PEM private key that belongs to the certificate.")
    tls_client_ca_file: str = Field(
        "",
        description="PEM certificates of authorities: clients must show a certificate of one of them, which names the "
        "caller. Read again when it changes; empty asks for none.",
    )


class PoliciesSettings(_Section):
    """Where policy sets come from."""

    directory: str = Field("policies", description="Folder of policy files (*.yaml); suites (*_test.yaml) are skipped.")
    default: str = Field(
        "", description="Policy set for requests that name none; empty takes the only one if there is just one."
    )
    inline_enabled: bool = Field(default=False, description="Accept policy sets that travel with a request.")
    reload_enabled: bool = Field(
        default=True,
        description="Serve ReloadPolicySets to callers with the scope admin; "
        "without authentication those are the ones on this machine.",
    )
    watch_enabled: bool = Field(default=True, description="Read the policy files again when they change.")
    watch_interval_s: float = Field(
        2.0,
        gt=0,
        description="Seconds between two looks at the policy files, for folders whose file system tells of no change.",
    )
    kept_revisions: int = Field(
        3, ge=0, le=32, description="Earlier revisions of each policy set that a request may still ask for."
    )
    state_directory: str = Field(
        "",
        description="Folder for a copy of each policy file that served, taken at the next start in place of one that "
        "is broken by then; empty keeps none, and a broken file then refuses the start.",
    )


class LimitsSettings(_Section):
    """How large a request may be."""

    max_messages: int = Field(256, ge=1, description="Messages of one conversation.")
    max_message_characters: int = Field(100_000, ge=1, description="Characters of one message.")
    max_batch_size: int = Field(
        64, ge=1, description="Items of one BatchSelectRoutes call; those that find no room wait within it."
    )
    max_inline_routes: int = Field(256, ge=1, description="Routes of an inline policy set.")
    max_explained_messages: int = Field(
        8, ge=0, description="Messages that DECISION_VIEW_EXPLAIN leaves out one by one, each by a call to the model."
    )


class RoutingSettings(_Section):
    """How decisions are made."""

    mode: Literal["compact", "engine", "cascade"] = Field(
        "compact",
        description="Which tier decides: compact, engine (the language model), or cascade: compact where it is sure, "
        "else the engine.",
    )
    cascade_min_confidence: float = Field(
        0.9,
        ge=0,
        le=1,
        description="In a cascade the compact tier decides where its calibrated probability of the leading candidate "
        "is at least this.",
    )
    on_engine_failure: Literal["none", "compact"] = Field(
        "none",
        description="What happens where the engine gives no answer: none fails the call, compact lets that tier decide "
        "and flags the decision. Unused with routing.mode compact.",
    )
    compact_reserve_s: float = Field(
        0.1,
        ge=0,
        description="Seconds of a call's time that the engine leaves to the compact tier with "
        "routing.on_engine_failure compact; a call with less than twice that leaves none.",
    )
    default_min_confidence: float = Field(
        0.0, ge=0, le=1, description="Threshold where neither request, route nor policy set has one."
    )
    default_deadline_s: float = Field(
        5.0,
        gt=0,
        description="Seconds for a call whose caller set no deadline, the arrival of its request included.",
    )
    max_budget_s: float = Field(
        10.0, gt=0, description="Most seconds that are used of a call's deadline, routing.default_deadline_s included."
    )
    min_budget_s: float = Field(
        0.005, ge=0, description="Calls with less time left, in seconds, are refused before any work."
    )
    ticket_key_file: str = Field(
        "",
        description="File of keys that sign route tickets, one of at least 32 bytes a line: the first signs, each is "
        "accepted; read again when it changes. Empty makes a key that ends with this process and no other knows.",
    )
    ticket_lifetime_s: float = Field(
        86_400.0, gt=0, description="Seconds for which a conversation can be continued by its route ticket."
    )


class TritonSettings(_Section):
    """The inference server."""

    endpoint: str = Field("127.0.0.1:8001", description="HOST:PORT of Triton's gRPC; unused with embedded.enabled.")
    compact_model: str = Field("compact_router", description="Triton model of the compact tier.")
    compact_endpoint: AddressOrNone = Field(
        "", description="The same for the compact tier where another Triton serves it; empty takes triton.endpoint."
    )
    engine_model: str = Field("tensorrt_llm", description="Triton model of the engine tier.")
    bundle_directory: str = Field("", description="Prompt bundle of the engine tier, which does not start without.")
    endpoints_file: str = Field(
        "",
        description="YAML file of endpoints, read again on SIGHUP, instead of endpoint and bundle_directory; or empty.",
    )
    max_concurrent_requests: int = Field(
        32, ge=1, description="Requests in flight to one Triton; more wait their turn."
    )
    deadline_margin_s: float = Field(
        0.001, ge=0, description="Seconds of the caller's deadline kept for the way back from Triton."
    )
    warm_up_timeout_s: float = Field(30.0, gt=0, description="Seconds for the warm-up call that makes the model ready.")
    health_interval_s: float = Field(
        0.25, gt=0, description="Seconds between two looks at a model's health, and between two tries to bring it back."
    )
    probe_timeout_s: float = Field(
        0.5, gt=0, description="Seconds that Triton has to answer a look; one that does not, nor any call, is lost."
    )
    max_failures: int = Field(
        5,
        ge=1,
        description="Calls in a row that a model may fail; then it gets none until a probe call succeeds.",
    )
    fair_timeout_s: float = Field(
        1.0,
        ge=0,
        description="A call without an answer counts as the model's failure if it had so many seconds; with less, the "
        "caller's deadline was short.",
    )
    doubt_budget_share: float = Field(
        0.5, ge=0, le=1, description="Share of its time that a call waits while nobody knows whether Triton is lost."
    )


class EmbeddedSettings(_Section):
    """Triton as a child process on this machine's CPU."""

    enabled: bool = Field(default=False, description="Start the Triton server of the nvidia-pytriton wheel.")
    model_repository: str = Field("model_repository", description="Model repository it loads from.")
    engine_model: str = Field("reference_lm", description="Model of the engine tier on the CPU.")
    start_timeout_s: float = Field(120.0, gt=0, description="Seconds for it to become ready.")
    restart_delay_s: float = Field(
        0.1, ge=0, description="Seconds between its unexpected exit and a new start; doubled while it keeps ending."
    )


class AuthSettings(_Section):
    """Who may call; see [security](security.md).

    With a callers file, a key set or server.tls_client_ca_file, every call must authenticate.
    """

    callers_file: str = Field(
        "", description="File of callers, one '<credential> <name> <scopes>' a line. Read again when it changes."
    )
    jwt_jwks: str = Field(
        "",
        description="JSON Web Key Set that checks JSON Web Tokens: a file, read again when it changes, or an https "
        "URL; empty takes no such tokens.",
    )
    jwt_issuer: str = Field("", description="What a token must have as iss; needed with auth.jwt_jwks.")
    jwt_audience: str = Field("", description="What a token must have in aud; needed with auth.jwt_jwks.")
    jwt_algorithms: str = Field("RS256,ES256,EdDSA", description="Accepted signatures, by a key pair, with commas.")
    jwt_scope_claim: str = Field("scope", description="Claim that lists a token's scopes, as text or as a list.")
    jwt_scope_prefix: str = Field(
        "", description="Start of those scopes that are meant for this service; it is cut off, others are ignored."
    )
    jwt_leeway_s: float = Field(30.0, ge=0, description="Seconds by which clocks may differ, for exp and nbf.")
    jwt_refresh_interval_s: float = Field(
        300.0, ge=1, description="Seconds between two looks at the URL; a token with an unknown key causes one, too."
    )
    allow_unauthenticated: bool = Field(
        default=False,
        description="Serve on an address that other machines reach although callers need not authenticate.",
    )


class MetricsSettings(_Section):
    """Prometheus."""

    listen: AddressOrNone = Field(
        "",
        description="HOST:PORT to serve /metrics on; empty serves none. "
        "Of several server.processes the first takes this port, the second the next one, and so on.",
    )


class LoggingSettings(_Section):
    """The log, on standard error."""

    format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console on a terminal, JSON elsewhere."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )


class TracingSettings(_Section):
    """OpenTelemetry, by the extra ``otel``; the sampler and the rest are set by its own OTEL_* variables."""

    otlp_endpoint: str = Field(
        "",
        description="URL of a collector that takes OTLP over gRPC, e.g. http://127.0.0.1:4317; empty takes "
        "OTEL_EXPORTER_OTLP_ENDPOINT, and without that too nothing is traced.",
    )


class DecisionLogSettings(_Section):
    """A file with a line of JSON for every decision; see docs/decision_log.md."""

    path: str = Field(
        "", description="File to append to; further server processes add -2, -3 … before its suffix. Empty keeps none."
    )
    text: Literal["none", "hash", "text"] = Field(
        "hash", description="What is kept of a conversation: nothing, its salted hash, or its text as well."
    )
    salt_file: str = Field(
        "", description="Key of the hashes, made where it does not exist; empty is path with .salt behind it."
    )
    max_bytes: int = Field(64 * 1024 * 1024, ge=4096, description="Size in bytes at which the file is rotated.")
    kept_files: int = Field(8, ge=1, description="Rotated files that are kept, path.1 being the latest.")
    queue_size: int = Field(
        4096, ge=1, description="Decisions that may wait to be written; further ones are counted and lost."
    )


class Settings(_Section):
    """All of the configuration."""

    server: ServerSettings = ServerSettings()
    policies: PoliciesSettings = PoliciesSettings()
    limits: LimitsSettings = LimitsSettings()
    routing: RoutingSettings = RoutingSettings()
    triton: TritonSettings = TritonSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    auth: AuthSettings = AuthSettings()
    metrics: MetricsSettings = MetricsSettings()
    logging: LoggingSettings = LoggingSettings()
    tracing: TracingSettings = TracingSettings()
    decision_log: DecisionLogSettings = DecisionLogSettings()
