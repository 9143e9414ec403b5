"""What a client is told, and the gRPC service config that follows from it."""

import ipaddress
import json
from dataclasses import dataclass, field

_MAX_ATTEMPTS = 5  # gRPC silently caps `maxAttempts` at 5 (proposal A6), so more would be a promise nobody keeps
_RETRYABLE_CODES = ("UNAVAILABLE", "CANCELLED")
_JITTER = 1.2  # gRPC varies each wait by a fifth
_MIN_BACKOFF_S = 0.01  # below 2 ms a retried call of grpcio 1.81.1 can hang, its deadline notwithstanding


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How the channel is secured.

    Attributes:
        root_certificates: PEM certificates that the server's chain must end in; None takes gRPC's own roots.
        certificate_chain: PEM chain of the client, for servers that ask for one.
        private_key: PEM key of that chain.
    """

    root_certificates: bytes | None = field(default=None, repr=False)
    certificate_chain: bytes | None = field(default=None, repr=False)
    private_key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """How calls that fail with UNAVAILABLE, or that the server cancels, are tried again within their deadline.

    No other code is retried: it would fail again, or add load where there is too much (AIP-194). gRPC's server cancels
    calls that reach it between the start of its shutdown and the client's notice of that.

    Attributes:
        max_attempts: Attempts in all, 1 to 5; 1 never retries.
        initial_backoff_s: Seconds before the second attempt, >= 0.01; gRPC varies each wait by a fifth.
        max_backoff_s: Longest wait, in seconds, >= 0.01.
        backoff_multiplier: Growth of the wait from attempt to attempt, >= 1.
    """

    max_attempts: int = 5
    initial_backoff_s: float = 0.1
    max_backoff_s: float = 1.55
    backoff_multiplier: float = 7.0

    def attempts_within(self, timeout_s: float) -> int:
        """Count the attempts that can start before a deadline, so that a call fails for its reason and not at it."""
        waited_s, backoff_s = 0.0, self.initial_backoff_s
        for attempts in range(1, self.max_attempts):
            waited_s += _JITTER * min(backoff_s, self.max_backoff_s)
            if waited_s >= timeout_s:
                return attempts
            backoff_s *= self.backoff_multiplier
        return self.max_attempts

    def __post_init__(self) -> None:
        """Refuse what gRPC would ignore in silence, or cannot do.

        Raises:
            ValueError: When a value is out of its range.
        """
        if not 1 <= self.max_attempts <= _MAX_ATTEMPTS:
            msg = f"max_attempts is {self.max_attempts}; gRPC makes 1 to {_MAX_ATTEMPTS} attempts"
            raise ValueError(msg)
        minima = {"initial_backoff_s": _MIN_BACKOFF_S, "max_backoff_s": _MIN_BACKOFF_S, "backoff_multiplier": 1.0}
        for name, minimum in minima.items():
            if getattr(self, name) < minimum:
                msg = f"{name} is {getattr(self, name)}; it must be at least {minimum}"
                raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Everything a client is told.

    Attributes:
        target: ``HOST:PORT`` or any other gRPC name, e.g. ``dns:///archrouter.example:50051``.
        timeout_s: Deadline of calls that set none, in seconds, > 0 and finite; it covers all attempts.
        tls: Security of the channel; None connects in plaintext.
        bearer_token: Sent with each call; empty sends none.
        plaintext_token_allowed: Send the token without TLS to another machine too, e.g. because a sidecar encrypts.
        retry: What is tried again.
    """

    target: str
    timeout_s: float = 0.3
    tls: TlsOptions | None = None
    bearer_token: str = field(default="", repr=False)
    plaintext_token_allowed: bool = False
    retry: RetryOptions = field(default_factory=RetryOptions)

    def __post_init__(self) -> None:
        """Refuse a deadline that no call can keep, and a token that anyone on the way could read.

        Raises:
            ValueError: When a value is out of its range, or the token would leave this machine unencrypted.
        """
        if not 0 < self.timeout_s < float("inf"):
            msg = f"timeout_s is {self.timeout_s}; it must be above 0 and finite"
            raise ValueError(msg)
        exposed = bool(self.bearer_token) and self.tls is None and not _is_local(self.target)
        if exposed and not self.plaintext_token_allowed:
            msg = (
                f"the bearer token would travel to {self.target} in plaintext; "
                "set tls, or plaintext_token_allowed where the network encrypts"
            )
            raise ValueError(msg)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What each call carries: the token, where there is one."""
        return (("authorization", f"Bearer {self.bearer_token}"),) if self.bearer_token else ()

    @property
    def service_config(self) -> str:
        """The gRPC service config, JSON: retries inside the deadline, and every address of the target in turn."""
        method_config: dict[str, object] = {"name": [{"service": "archrouter.v1.RoutingService"}]}
        attempts = self.retry.attempts_within(self.timeout_s)
        if attempts > 1:
            method_config["retryPolicy"] = {
                "maxAttempts": attempts,
                "initialBackoff": f"{self.retry.initial_backoff_s:.9f}s",
                "maxBackoff": f"{self.retry.max_backoff_s:.9f}s",
                "backoffMultiplier": self.retry.backoff_multiplier,
                "retryableStatusCodes": list(_RETRYABLE_CODES),
            }
        return json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [method_config]})


def _is_local(target: str) -> bool:
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    host = target.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
