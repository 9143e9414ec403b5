"""The key set of an identity provider, over a real HTTP server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from grpc import StatusCode
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.support.certificates import Issuer
from tests.support.rpc_service import (
    RpcService,
    ServiceOptions,
    bearer,
    eventually,
    refusal_of,
    running_service,
    user_says,
)

from archrouter.app.key_set_url import KeySetUrl
from archrouter.config import AuthSettings
from archrouter.observability.metrics import Metrics
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.authentication.json_web_tokens import JwtVerifier


class Provider:
    """An identity provider.

    Attributes:
        issuer: Signs tokens.
        status: HTTP status of its answers.
        body: Answer in place of the key set; empty for the key set.
        fetch_count: Requests so far.
        open: Requests wait while it is not set.
    """

    def __init__(self) -> None:
        """Start to listen."""
        self.issuer, self.status, self.body, self.fetch_count = Issuer(), 200, b"", 0
        self.open = threading.Event()
        self.open.set()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            """Answers with the key set."""

            def do_GET(self) -> None:
                """Answer, or fail as told."""
                provider.fetch_count += 1
                provider.open.wait(5)
                body = provider.body or provider.issuer.key_set
                self.send_response(provider.status)
                self.send_header("Location", "http://127.0.0.1:9/")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Give a provider that answers."""
    provider = Provider()
    thread = threading.Thread(target=provider.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield provider
    provider.server.shutdown()
    thread.join()
    provider.server.server_close()


def source_of(provider: Provider, *, min_interval_s: float = 60.0) -> tuple[KeySetUrl, JwtVerifier]:
    """Make a verifier that asks the provider."""
    verifier = JwtVerifier(AuthSettings(jwt_issuer=provider.issuer.url, jwt_audience="archrouter", jwt_leeway_s=5.0))
    metrics = Metrics(CollectorRegistry(), version="1")
    source = KeySetUrl(provider.url, verifier.use_keys, metrics, min_interval_s=min_interval_s)
    verifier.refresh_by(source.refresh)
    return source, verifier


@asynccontextmanager
async def served(provider: Provider, *, min_interval_s: float = 60.0) -> AsyncIterator[RpcService]:
    """Serve those whom the provider knows."""
    source, verifier = source_of(provider, min_interval_s=min_interval_s)
    await source.load()
    async with running_service(ServiceOptions(authenticator=Authenticator(None, verifier))) as service:
        yield service


async def test_a_new_key_is_fetched_by_the_first_token_that_names_it(provider: Provider) -> None:
    """No call fails for a rotation; afterwards the old key counts no more."""
    old = bearer(provider.issuer.token())

    async with served(provider, min_interval_s=0.0) as service:
        await service.routing.SelectRoute(user_says("a refund"), metadata=old)
        provider.issuer.rotate()
        new = bearer(provider.issuer.token())
        await asyncio.gather(*(service.routing.SelectRoute(user_says("a refund"), metadata=new) for _ in range(8)))
        refusal = await refusal_of(service.routing.SelectRoute(user_says("a refund"), metadata=old))

    assert StatusCode.UNAUTHENTICATED == refusal.code


async def test_unknown_keys_cause_one_fetch_in_an_interval(provider: Provider) -> None:
    """Whoever makes tokens up cannot make the service ask more often."""
    async with served(provider) as service:
        for number in range(20):
            token = bearer(provider.issuer.token(key_id=f"made-up-{number}"))
            await refusal_of(service.routing.SelectRoute(user_says("x"), metadata=token))

    assert 1 == provider.fetch_count


async def test_calls_that_wait_for_a_key_share_one_fetch(provider: Provider) -> None:
    """And one that gives up takes it from nobody."""
    source, _ = source_of(provider, min_interval_s=0.0)
    provider.open.clear()

    waiting = [asyncio.create_task(source.refresh()) for _ in range(5)]
    await eventually(lambda: provider.fetch_count)
    waiting[0].cancel()
    provider.open.set()
    await asyncio.gather(*waiting[1:])

    assert 1 == provider.fetch_count


@pytest.mark.parametrize(("status", "body"), [(500, b""), (302, b""), (200, b"<html>"), (200, b" " * ((1 << 20) + 2))])
async def test_a_provider_in_trouble_changes_nothing(provider: Provider, status: int, body: bytes) -> None:
    """The keys of before stay, a redirect is not followed, and the log says what came."""
    source, verifier = source_of(provider, min_interval_s=0.0)
    await source.load()
    before = verifier._keys
    provider.status, provider.body = status, body

    with capture_logs() as logs:
        await source.refresh()

    assert before is verifier._keys
    assert ["credentials_rejected"] == [log["event"] for log in logs]
    assert "auth.jwt_jwks" in logs[0]["reason"] or "JSON Web Key Set" in logs[0]["reason"]


async def test_the_key_set_is_fetched_again_without_being_asked(provider: Provider) -> None:
    """A key that was taken back counts no longer than the interval."""
    source, verifier = source_of(provider, min_interval_s=0.0)
    await source.load()
    watching = asyncio.create_task(source.watch(0.01))
    provider.issuer.rotate()

    await eventually(lambda: provider.issuer.key_id in verifier._keys)
    watching.cancel()


async def test_a_provider_that_does_not_answer_ends_the_start(provider: Provider) -> None:
    """A service without keys would refuse everybody."""
    provider.status = 503
    source, _ = source_of(provider)

    with pytest.raises(OSError, match=r"auth\.jwt_jwks: the key set cannot be fetched \(HTTP 503\)"):
        await source.load()
