"""``archrouter doctor`` at real servers, each with one thing that is wrong."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from click.testing import CliRunner, Result
from grpc import aio
from tests.support.certificates import Authority
from tests.support.rpc_service import RpcService, ServiceOptions, running_service

from archrouter.cli import checkup, checkup_calls, cli
from archrouter.cli.checkup import diagnose
from archrouter.cli.diagnosis import Diagnosis, Level
from archrouter.client import ClientOptions, TlsOptions
from archrouter.config import PoliciesSettings, RoutingSettings
from archrouter.domain.errors import BackendUnavailableError
from archrouter.rpc import pipeline
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.authentication.callers import Callers
from archrouter.rpc.health import Component
from archrouter.rpc.tls import ServerTls

AUTHORITY = Authority()
SERVER = AUTHORITY.server()
TRUSTED = TlsOptions(AUTHORITY.pem)


def with_tls() -> ServiceOptions:
    """Serve by the authority's certificate."""
    tls = ServerTls()
    tls.use(SERVER.chain, SERVER.key, b"")
    return ServiceOptions(tls=tls)


@pytest.fixture(autouse=True)
def same_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this client be of the release that the tests' service says it is."""
    monkeypatch.setattr(checkup_calls, "VERSION", "9.8.0")


@pytest_asyncio.fixture
async def service() -> AsyncIterator[RpcService]:
    """Serve with the ordinary options."""
    async with running_service() as running:
        yield running


async def findings(
    port: int, tls: TlsOptions | None = None, *, triton: str = "", watch_s: float = 0.0, timeout_s: float = 5.0
) -> list[Diagnosis]:
    """Look at a service on this machine."""
    options = ClientOptions(f"localhost:{port}", timeout_s=timeout_s, tls=tls)
    return [found async for found in diagnose(options, triton=triton, watch_s=watch_s)]


def troubles(found: list[Diagnosis]) -> list[tuple[str, Level]]:
    """Return what is not well, each of it with a remedy."""
    bad = [each for each in found if each.level in {Level.WARNING, Level.ERROR}]
    assert [] == [each for each in bad if not each.remedy]
    return [(each.subject, each.level) for each in bad]


async def command(*arguments: str) -> Result:
    """Run the command beside the service of this event loop."""
    return await asyncio.to_thread(CliRunner().invoke, cli, ["doctor", *arguments])


async def test_a_healthy_service_has_no_troubles(service: RpcService) -> None:
    """Everything was looked at, in a table, and the exit code is 0."""
    result = await command("--target", f"127.0.0.1:{service.port}")

    assert (0, []) == (result.exit_code, troubles(await findings(service.port)))
    for subject in ("network", "health of the server", "server", "policySets/support"):
        assert subject in result.stdout


async def test_findings_are_one_json_document(service: RpcService) -> None:
    """For scripts; each finding has its remedy."""
    service.health.set_ready(Component.MODEL, ready=False)

    result = await command("--target", f"127.0.0.1:{service.port}", "--json")

    assert 1 == result.exit_code
    document = result.stdout[result.stdout.index("{\n") :]  # after the log of the service, which is in this process
    found = json.loads(document)["findings"]
    (routing,) = [each for each in found if each["subject"] == "health archrouter.v1.RoutingService"]
    assert ("error", "NOT_SERVING") == (routing["level"], routing["seen"])
    assert "model" in routing["remedy"]


async def test_nobody_there_is_exit_code_3(unused_tcp_port: int) -> None:
    """There is nothing further to look at."""
    result = await command("--target", f"127.0.0.1:{unused_tcp_port}")

    assert 3 == result.exit_code
    assert "cannot be reached" in result.stdout
    assert "health" not in result.stdout


@pytest.mark.parametrize(
    ("options", "tls", "seen"),
    [
        (with_tls(), None, "speaks TLS, and you connect in plaintext"),
        (ServiceOptions(), TRUSTED, "speaks no TLS"),
        (with_tls(), TlsOptions(), "not trusted"),
    ],
)
async def test_tls_of_one_side_only_is_told_from_a_dead_service(
    options: ServiceOptions, tls: TlsOptions | None, seen: str
) -> None:
    """To gRPC all of these are UNAVAILABLE."""
    async with running_service(options) as service:
        found = await findings(service.port, tls)

    assert [("tls", Level.ERROR)] == troubles(found)
    assert seen in found[-1].seen


async def test_a_service_that_wants_a_certificate_is_told_from_a_dead_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It speaks TLS and lets nobody in; proxies that gRPC obeys are named as well."""
    monkeypatch.setenv("no_proxy", "localhost")
    monkeypatch.setenv("grpc_proxy", "http://127.0.0.1:9")
    pair = (SERVER.key, SERVER.chain)
    server = aio.server()
    credentials = grpc.ssl_server_credentials([pair], AUTHORITY.pem, require_client_auth=True)
    port = server.add_secure_port("localhost:0", credentials)
    await server.start()

    found = await findings(port, TRUSTED, timeout_s=2)
    await server.stop(None)

    assert [("grpc", Level.ERROR)] == troubles(found)
    assert "a certificate of yours" in found[-1].remedy
    assert "grpc_proxy" in found[-1].remedy


async def test_a_target_of_another_scheme_is_left_to_grpc(tmp_path: Path) -> None:
    """A socket of the file system has neither port nor TLS."""
    options = ClientOptions(f"unix:{tmp_path}/nobody", timeout_s=0.5)

    found = [each async for each in diagnose(options, triton="", watch_s=0.0)]

    assert ["network", "grpc"] == [each.subject for each in found]
    assert [("grpc", Level.ERROR)] == troubles(found)


async def test_a_certificate_that_ends_soon_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In days, before it is too late."""
    async with running_service(with_tls()) as service:
        assert [] == troubles(await findings(service.port, TRUSTED))
        monkeypatch.setattr(checkup, "CERTIFICATE_WARNING_S", 1e12)

        assert [("tls", Level.WARNING)] == troubles(await findings(service.port, TRUSTED))


async def test_a_model_that_is_away_is_told(service: RpcService) -> None:
    """The remedy leads to Triton."""
    service.backend.failure = BackendUnavailableError("gone", retry_after_s=0.1)

    found = await findings(service.port)

    assert [("policySets/support", Level.ERROR)] == troubles(found)
    assert "Triton" in found[-1].remedy


async def test_a_missing_credential_is_told() -> None:
    """What needs one is left out; the service tells nothing without."""
    options = ServiceOptions(authenticator=Authenticator(Callers.from_text("0" * 64 + " gateway route")))
    async with running_service(options) as service:
        found = await findings(service.port)

    assert [("server", Level.ERROR)] == troubles(found)
    assert "--token-file" in found[-1].remedy


async def test_another_release_is_told(service: RpcService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A patch release is none."""
    monkeypatch.setattr(checkup_calls, "VERSION", "9.7.7")

    assert [("version", Level.WARNING)] == troubles(await findings(service.port))


async def test_a_stale_policy_set_is_told(service: RpcService) -> None:
    """Its file is broken, and nobody who only calls would know."""
    service.source.broken = ("support.yaml",)
    await service.store.reload()

    assert [("policySets/support", Level.WARNING)] == troubles(await findings(service.port))


async def test_a_slow_decision_is_told(service: RpcService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody feels it before every answer."""
    monkeypatch.setattr(checkup_calls, "SLOW_DECISION_S", 0.0)

    assert [("policySets/support", Level.WARNING)] == troubles(await findings(service.port))


@pytest.mark.parametrize(("skew_s", "side"), [(60, "ahead of"), (-60, "behind")])
async def test_a_clock_that_is_off_is_told(
    service: RpcService, monkeypatch: pytest.MonkeyPatch, skew_s: int, side: str
) -> None:
    """It is read off the decision's id."""

    def skewed_id() -> str:
        return str(uuid.UUID(int=(int((time.time() + skew_s) * 1000) << 80) | (7 << 76) | (2 << 62)))

    monkeypatch.setattr(pipeline, "new_decision_id", skewed_id)

    found = await findings(service.port)

    assert [("clock", Level.WARNING)] == troubles(found)
    assert side in found[-1].seen


async def test_no_default_policy_set_is_a_note() -> None:
    """It may be meant."""
    options = ServiceOptions(policies=PoliciesSettings(default="gone"), routing=RoutingSettings())
    async with running_service(options) as service:
        found = await findings(service.port)

    assert [] == troubles(found)
    assert ("policy sets", Level.NOTE) in [(each.subject, each.level) for each in found]


async def test_triton_is_looked_at_where_it_is_named(
    service: RpcService, triton_endpoint: str, unused_tcp_port: int
) -> None:
    """A real one that serves, and none."""
    ready = await findings(service.port, triton=triton_endpoint)
    absent = await findings(service.port, triton=f"127.0.0.1:{unused_tcp_port}", timeout_s=2)

    assert ("triton", Level.OK) == (ready[-1].subject, ready[-1].level)
    assert [("triton", Level.ERROR)] == troubles(absent)


async def test_an_idle_connection_is_watched() -> None:
    """One that lasts is well; one that somebody closes meanwhile is told."""
    async with running_service() as service:
        assert [] == troubles(await findings(service.port, watch_s=0.3))
        watching = asyncio.create_task(findings(service.port, watch_s=30))
        await asyncio.sleep(1.5)
        await service.server.stop(0)
        async with asyncio.timeout(20):
            found = await watching

    assert [("keepalive", Level.WARNING)] == troubles(found)
