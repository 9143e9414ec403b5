"""What a client may be told."""

import json
from pathlib import Path

import pytest

from archrouter.client import ClientOptions, RetryOptions, TlsOptions

TOKEN = "secret"  # noqa: S105  # of no service


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"max_attempts": 6}, "max_attempts is 6"),
        ({"initial_backoff_s": 0.001}, "initial_backoff_s is 0.001"),
        ({"max_backoff_s": -1.0}, "max_backoff_s is -1.0"),
        ({"backoff_multiplier": 0.5}, "backoff_multiplier is 0.5"),
    ],
)
def test_retry_options_are_refused_out_of_range(values: dict[str, float], problem: str) -> None:
    """A retry policy that gRPC would silently change or ignore is an error that names the value."""
    with pytest.raises(ValueError, match=problem):
        RetryOptions(**values)  # type: ignore[arg-type]


def test_options_are_refused_without_time() -> None:
    """A deadline of no seconds is an error: no call could ever succeed."""
    with pytest.raises(ValueError, match=r"timeout_s is 0\.0"):
        ClientOptions("127.0.0.1:1", timeout_s=0.0)


@pytest.mark.parametrize("target", ["router.example:50051", "10.0.0.7:50051", "dns:///router.example:50051", "[::2]:1"])
def test_token_is_refused_over_plaintext_to_another_machine(target: str) -> None:
    """A bearer token does not leave this machine unencrypted unless the caller says so."""
    with pytest.raises(ValueError, match="in plaintext"):
        ClientOptions(target, bearer_token=TOKEN)

    allowed = ClientOptions(target, bearer_token=TOKEN, plaintext_token_allowed=True)
    secured = ClientOptions(target, bearer_token=TOKEN, tls=TlsOptions())
    assert (target, target) == (allowed.target, secured.target)


@pytest.mark.parametrize("target", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/run/archrouter.sock"])
def test_token_is_accepted_over_plaintext_on_this_machine(target: str) -> None:
    """Where nobody can listen, a token needs no TLS."""
    assert target == ClientOptions(target, bearer_token=TOKEN).target


def test_secrets_are_absent_from_repr() -> None:
    """Options can be logged: neither token nor key shows."""
    options = ClientOptions("localhost:1", bearer_token=TOKEN, tls=TlsOptions(private_key=b"secret-key"))

    assert "secret" not in repr(options)


def test_service_config_retries_what_another_replica_can_answer() -> None:
    """The service config retries UNAVAILABLE and the server's CANCELLED, and nothing that would add load."""
    config = json.loads(ClientOptions("localhost:1").service_config)

    assert ["UNAVAILABLE", "CANCELLED"] == config["methodConfig"][0]["retryPolicy"]["retryableStatusCodes"]


def test_service_config_has_no_retry_policy_for_one_attempt() -> None:
    """One attempt means no retry policy: gRPC accepts none with fewer than two attempts."""
    config = json.loads(ClientOptions("localhost:1", retry=RetryOptions(max_attempts=1)).service_config)

    assert "retryPolicy" not in config["methodConfig"][0]


def test_default_service_config_is_the_published_one() -> None:
    """With time for every attempt, the default config is the one that the clients of all languages share."""
    published = json.loads((Path(__file__).parents[3] / "clients" / "service_config.json").read_text(encoding="utf-8"))
    policy = published["methodConfig"][0]["retryPolicy"]
    policy |= {key: f"{float(policy[key].rstrip('s')):.9f}s" for key in ("initialBackoff", "maxBackoff")}

    assert published == json.loads(ClientOptions("localhost:1", timeout_s=5.0).service_config)


@pytest.mark.parametrize(("timeout_s", "attempts"), [(0.1, 1), (0.3, 2), (1.0, 3), (3.0, 4), (5.0, 5)])
def test_retries_fit_the_deadline(timeout_s: float, attempts: int) -> None:
    """No attempt could start only after the deadline."""
    assert attempts == RetryOptions().attempts_within(timeout_s)
