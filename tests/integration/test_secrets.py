"""No secret is in anything that the service writes, whatever happens to it: a grep over all of its output."""

import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import grpc
import pytest
from grpc import aio
from tests.support.certificates import Authority, Issuer
from tests.support.service_runs import ServiceProcess, sample_flags, service_process

from archrouter import v1

TOKEN, WRONG_TOKEN, MISPLACED_TOKEN = "planted-token-7f3a", "planted-wrong-81bc", "planted-misplaced-55de"  # made up
TICKET_KEY, SHORT_TICKET_KEY = "planted-ticket-key-of-more-than-32-bytes", "planted-ticket-key-1"
PASSWORD = "planted-password-c0de"  # noqa: S105  # made up
SHARED_SECRET = "cGxhbnRlZC1zaGFyZWQtc2VjcmV0"  # noqa: S105  # made up
PASTED_KEY = Authority().server().key.decode()
CRASHING = """
from archrouter.application.router import Router
from archrouter.cli import main

decide = Router.select_route

async def crash(self, request, **options):
    if "crash" in request.messages[0].content:
        raise RuntimeError("a defect that nobody foresaw")
    return await decide(self, request, **options)

Router.select_route = crash
main()
"""


def key_lines(key: str) -> list[str]:
    """Take the lines of a PEM key that are long enough to be told from anything else."""
    return [line for line in key.splitlines() if len(line) > 30 and "-" not in line]


def found(secrets: list[str], output: str) -> list[str]:
    """Search, and check first that there is something to search."""
    assert output
    assert all(len(secret) > 10 for secret in secrets)
    return [secret for secret in secrets if secret in output]


async def call(channel: aio.Channel, text: str, *authorization: str) -> str:
    """Make one call and name its code."""
    stub: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(channel)
    request = v1.SelectRouteRequest(messages=[v1.Message(role=v1.Role.ROLE_USER, content=text)])
    metadata = tuple(("authorization", value) for value in authorization)
    try:
        await stub.SelectRoute(request, timeout=10, metadata=metadata)
    except aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def live_through_everything(
    service: ServiceProcess, authority: Authority, folder: Path, tokens: dict[str, str]
) -> dict[str, str]:
    """Succeed, fail, crash, and load what cannot be used."""
    trust, codes = grpc.ssl_channel_credentials(authority.pem), {}
    async with aio.secure_channel(f"localhost:{service.port}", trust) as channel:
        for name, values in tokens.items():
            text = "please crash" if name == "crash" else "fix my code"
            codes[name] = await call(channel, text, *values.split("|"))
        (folder / "callers").write_text(f"{MISPLACED_TOKEN} gateway route\n")
        (folder / "key.pem").write_text(PASTED_KEY[:200])
        (folder / "jwks").write_text(json.dumps({"keys": [{"kty": "oct", "k": SHARED_SECRET, "kid": "s"}]}))
        (folder / "ticket_keys").write_text(f"{SHORT_TICKET_KEY}\n")
        await service.logged("credentials_rejected", 4)
        service.process.send_signal(signal.SIGHUP)
        await service.logged("policies_loaded", 2)
    return codes


def write_files(folder: Path, authority: Authority, issuer: Issuer) -> tuple[str, str]:
    """Write what the service needs; give the private key and the digest of the token."""
    pair, digest = authority.server(), hashlib.sha256(TOKEN.encode()).hexdigest()
    (folder / "callers").write_text(f"{digest} gateway route\n")
    (folder / "cert.pem").write_bytes(pair.chain)
    (folder / "key.pem").write_bytes(pair.key)
    (folder / "jwks").write_bytes(issuer.key_set)
    (folder / "ticket_keys").write_text(TICKET_KEY)
    return pair.key.decode(), digest


def flags(folder: Path, triton_endpoint: str, metrics_port: int) -> tuple[str, ...]:
    """Name the files, and log as much as there is."""
    return (
        *("--triton-endpoint", triton_endpoint, "--metrics-listen", f"127.0.0.1:{metrics_port}"),
        *("--server-tls-certificate-file", str(folder / "cert.pem"), "--logging-level", "debug"),
        *("--server-tls-private-key-file", str(folder / "key.pem"), "--auth-callers-file", str(folder / "callers")),
        *("--auth-jwt-jwks", str(folder / "jwks"), "--auth-jwt-issuer", Issuer().url),
        *("--auth-jwt-audience", "archrouter", "--routing-ticket-key-file", str(folder / "ticket_keys")),
    )


async def test_nothing_that_a_running_service_writes_has_a_secret(
    root: Path, tmp_path: Path, triton_endpoint: str
) -> None:
    """Standard output, standard error with its tracebacks, and metrics: after success, refusals, a crash, reloads."""
    authority, issuer = Authority(), Issuer()
    folder, output = tmp_path / "input", tmp_path / "output"
    folder.mkdir()
    output.mkdir()
    key, digest = write_files(folder, authority, issuer)
    good, expired, forged = issuer.token(), issuer.token(exp=1), issuer.token(key=Issuer())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        metrics_port = free.getsockname()[1]
    tokens = {
        "token": f"Bearer {TOKEN}",
        "jwt": f"Bearer {good}",
        "crash": f"Bearer {TOKEN}",
        "wrong": f"Bearer {WRONG_TOKEN}",
        "expired": f"Bearer {expired}",
        "forged": f"Bearer {forged}",
        "basic": f"Basic {PASSWORD}",
        "second": f"Basic {PASSWORD}|Bearer {TOKEN}",
    }

    wanted = (*sample_flags(root), *flags(folder, triton_endpoint, metrics_port))
    async with service_process(output, *wanted, program=("-c", CRASHING)) as service:
        codes = await live_through_everything(service, authority, folder, tokens)
        url = f"http://127.0.0.1:{metrics_port}/metrics"
        metrics = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())  # of this test
        (output / "metrics").write_bytes(metrics)

    written = "".join(path.read_text(errors="replace") for path in output.iterdir())
    parts = [part for token in (good, expired, forged) for part in token.split(".")[1:]]
    secrets = [TOKEN, WRONG_TOKEN, MISPLACED_TOKEN, PASSWORD, SHARED_SECRET, digest, *parts]
    secrets += [TICKET_KEY, SHORT_TICKET_KEY]
    assert ["OK", "OK", "INTERNAL", *["UNAUTHENTICATED"] * 4, "OK"] == list(codes.values())
    assert "a defect that nobody foresaw" in written
    assert "archrouter_credential_reloads_total" in written
    assert [] == found([*secrets, *key_lines(key), *key_lines(PASTED_KEY)], written)


@pytest.mark.parametrize(
    ("given", "environment", "config", "mentions"),
    [
        pytest.param(
            ["--server-tls-private-key-file", PASTED_KEY, "--server-tls-certificate-file", "x"],
            {},
            "",
            "server.tls_certificate_file",
            id="key_in_place_of_its_file",
        ),
        pytest.param(["--auth-callers-file", TOKEN], {}, "", "auth.callers_file", id="token_in_place_of_its_file"),
        pytest.param(
            ["--routing-ticket-key-file", TOKEN],
            {},
            "",
            "routing.ticket_key_file",
            id="ticket_key_in_place_of_its_file",
        ),
        pytest.param([], {"ARCHROUTER_AUTH_CALLERS_FILE": TOKEN}, "", "auth.callers_file", id="token_in_environment"),
        pytest.param([], {"ARCHROUTER_AUTH_TOKEN": TOKEN}, "", "ARCHROUTER_AUTH_TOKEN", id="unknown_variable"),
        pytest.param([], {}, f"auth: {{token: {TOKEN}}}", "token", id="unknown_key"),
        pytest.param([], {}, f"auth: {{callers_file: [{TOKEN}]}}", "callers_file", id="list_of_tokens"),
        pytest.param(
            ["--auth-jwt-jwks", f"https://me:{PASSWORD}@login.example/keys", "--auth-jwt-issuer", "i"],
            {"ARCHROUTER_AUTH_JWT_AUDIENCE": "a"},
            "",
            "auth.jwt_jwks",
            id="password_in_url",
        ),
    ],
)
def test_a_start_that_fails_shows_no_secret(
    tmp_path: Path, given: list[str], environment: dict[str, str], config: str, mentions: str
) -> None:
    """What was put in the wrong place is named by its setting, not by its value."""
    (tmp_path / "config.yaml").write_text(config)
    command = [sys.executable, "-m", "archrouter", "serve", "--server-listen", "127.0.0.1:0", *given]

    done = subprocess.run(
        [*command, "--config", str(tmp_path / "config.yaml")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert 0 != done.returncode
    assert mentions in done.stderr
    assert [] == found([TOKEN, PASSWORD, *key_lines(PASTED_KEY)], done.stdout + done.stderr)
