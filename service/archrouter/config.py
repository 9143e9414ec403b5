"""The configuration: every key, its default, unit and range, in one place.

A value comes from a flag, else from the environment, else from the configuration file, else from its default here.
``docs/configuration.md`` is generated from this module.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

ENV_PREFIX = "ARCHROUTER_"

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
    reflection_enabled: bool = Field(default=True, description="Serve gRPC reflection.")
    drain_delay_s: float = Field(
        0.0, ge=0, description="Seconds between NOT_SERVING and the stop of the listener, for load balancers."
    )
    shutdown_grace_s: float = Field(10.0, ge=0, description="Seconds that running calls get to finish on shutdown.")
    tls_certificate_file: str = Field("", description="PEM certificate chain; empty serves without TLS.")
    tls_private_key_file: str = Field("", description="PEM private key that belongs to the certificate.")


class PoliciesSettings(_Section):
    """Where policy sets come from."""

    directory: str = Field("policies", description="Folder of policy files (*.yaml); suites (*_test.yaml) are skipped.")
    default: str = Field(
        "", description="Policy set for requests that name none; empty takes the only one if there is just one."
    )
    inline_enabled: bool = Field(default=False, description="Accept policy sets that travel with a request.")
    reload_enabled: bool = Field(default=False, description="Serve ReloadPolicySets.")


class LimitsSettings(_Section):
    """How large a request may be."""

    max_messages: int = Field(256, ge=1, description="Messages of one conversation.")
    max_message_characters: int = Field(100_000, ge=1, description="Characters of one message.")
    max_batch_size: int = Field(
        64, ge=1, description="Items of one BatchSelectRoutes call; those that find no room wait within it."
    )
    max_inline_routes: int = Field(256, ge=1, description="Routes of an inline policy set.")


class RoutingSettings(_Section):
    """How decisions are made."""

    mode: Literal["compact", "engine"] = Field(
        "compact", description="Which model decides: the compact router, or the language model."
    )
    default_min_confidence: float = Field(
        0.0, ge=0, le=1, description="Threshold where neither request, route nor policy set has one."
    )
    default_deadline_s: float = Field(
        5.0,
        gt=0,
        description="Seconds for a call whose caller set no deadline, the arrival of its request included; "
        "also the most that is used of one.",
    )
    min_budget_s: float = Field(
        0.002, ge=0, description="Calls with less time left, in seconds, are refused before any work."
    )


class TritonSettings(_Section):
    """The inference server."""

    endpoint: str = Field("127.0.0.1:8001", description="HOST:PORT of Triton's gRPC; unused with embedded.enabled.")
    compact_model: str = Field("compact_router", description="Triton model of the compact tier.")
    engine_model: str = Field("tensorrt_llm", description="Triton model of the engine tier.")
    bundle_directory: str = Field("", description="Prompt bundle of the engine tier; needed with routing.mode engine.")
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
    health_interval_s: float = Field(0.5, gt=0, description="Seconds between two looks at the model's health.")


class EmbeddedSettings(_Section):
    """Triton as a child process on this machine's CPU."""

    enabled: bool = Field(default=False, description="Start the Triton server of the nvidia-pytriton wheel.")
    model_repository: str = Field("model_repository", description="Model repository it loads from.")
    engine_model: str = Field("reference_lm", description="Model of the engine tier on the CPU.")
    start_timeout_s: float = Field(120.0, gt=0, description="Seconds for it to become ready.")
    restart_delay_s: float = Field(1.5, ge=0, description="Seconds between its unexpected exit and a new start.")


class AuthSettings(_Section):
    """Who may call."""

    tokens_file: str = Field(
        "", description="File of accepted bearer tokens, one '<sha256 of token> <name> <scopes>' a line; empty = open."
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
