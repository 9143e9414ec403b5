"""Settings of the listener: addresses, limits of connections, TLS, and who may call."""

from typing import Literal

from pydantic import Field

from archrouter.config.values import Address, Section


class ServerSettings(Section):
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


class AuthSettings(Section):
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
