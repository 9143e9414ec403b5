"""TLS and client certificates over real sockets, with certificates that are made here."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import StatusCode, aio
from grpc_status import rpc_status
from structlog.testing import capture_logs
from tests.support.certificates import Authority, Certificate
from tests.support.rpc_service import (
    Refusal,
    RpcService,
    ServiceOptions,
    bearer,
    read_status,
    running_service,
    user_says,
)

from archrouter import v1
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.authentication.callers import Callers
from archrouter.rpc.tls import ServerTls

if TYPE_CHECKING:
    from archrouter.v1 import PolicyServiceAsyncStub, RoutingServiceAsyncStub

AUTHORITY, OTHER_AUTHORITY = Authority(), Authority("another authority")
SERVER = AUTHORITY.server()
GATEWAY = AUTHORITY.certify(uris=["spiffe://shop/gateway"], dns=["gateway.shop"], common_name="gw")
BY_FILE = "certificate:spiffe://shop/gateway gateway route\ncertificate:operator.shop operator policy.read,admin\n"


def tls(*, clients: Authority | None = None) -> ServerTls:
    """Make the TLS of a server, which asks clients for certificates of an authority."""
    server = ServerTls()
    server.use(SERVER.chain, SERVER.key, clients.pem if clients else b"")
    return server


@asynccontextmanager
async def served(
    callers: str = "", *, clients: Authority | None = AUTHORITY, open_server: bool = False
) -> AsyncIterator[RpcService]:
    """Serve with TLS and the callers of a file."""
    authenticator = None if open_server else Authenticator(Callers.from_text(callers) if callers else None)
    async with running_service(ServiceOptions(authenticator=authenticator, tls=tls(clients=clients))) as service:
        yield service


async def ask(
    service: RpcService, trust: grpc.ChannelCredentials | None, metadata: tuple[tuple[str, str], ...] = ()
) -> v1.SelectRouteResponse:
    """Ask for a decision on a connection of its own."""
    target, options = f"localhost:{service.port}", (("grpc.use_local_subchannel_pool", 1),)
    channel = aio.secure_channel(target, trust, options) if trust else aio.insecure_channel(target, options)
    async with channel:
        stub: RoutingServiceAsyncStub = v1.RoutingServiceStub(channel)
        return await stub.SelectRoute(user_says("a refund"), timeout=5, metadata=metadata)


async def refused(
    service: RpcService, client: Certificate | None, metadata: tuple[tuple[str, str], ...] = ()
) -> Refusal:
    """Ask, and read the status of the service."""
    with pytest.raises(aio.AioRpcError) as caught:
        await ask(service, AUTHORITY.trusted_by(client), metadata)
    status = rpc_status.from_call(caught.value)
    assert status is not None, f"no rich status: {caught.value!r}"
    return read_status(status)


async def test_tls_serves_clients_that_trust_the_certificate() -> None:
    """With certificate and key the service speaks TLS, and nothing else."""
    async with served(clients=None, open_server=True) as service:
        response = await ask(service, AUTHORITY.trusted_by())
        with pytest.raises(aio.AioRpcError) as distrusted:
            await ask(service, OTHER_AUTHORITY.trusted_by())
        with pytest.raises(aio.AioRpcError) as plaintext:
            await ask(service, None)

    assert "billing" == response.decision.route_id
    assert (StatusCode.UNAVAILABLE,) * 2 == (distrusted.value.code(), plaintext.value.code())


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(None, id="none"),
        pytest.param(OTHER_AUTHORITY.certify(uris=["spiffe://shop/gateway"]), id="other_authority"),
        pytest.param(AUTHORITY.certify(uris=["spiffe://shop/gateway"], lifetime=timedelta(minutes=-1)), id="expired"),
    ],
)
async def test_a_client_without_a_good_certificate_gets_no_connection(client: Certificate | None) -> None:
    """No call of it reaches the service, whatever token it has."""
    async with served(BY_FILE) as service:
        with capture_logs() as logs, pytest.raises(aio.AioRpcError) as caught:
            await ask(service, AUTHORITY.trusted_by(client), bearer("gateway-token"))

    assert StatusCode.UNAVAILABLE == caught.value.code()
    assert [] == [log for log in logs if log["event"] == "rpc_completed"]


@pytest.mark.parametrize(
    ("client", "name"),
    [
        pytest.param(GATEWAY, "spiffe://shop/gateway", id="uri_before_dns_and_common_name"),
        pytest.param(AUTHORITY.certify(dns=["a.shop", "b.shop"], common_name="gw"), "a.shop", id="first_dns_name"),
        pytest.param(AUTHORITY.certify(common_name="the gateway"), "the gateway", id="common_name"),
    ],
)
async def test_a_certificate_names_the_caller_in_the_log(client: Certificate, name: str) -> None:
    """Without a callers file each certificate of the authority may do all but administration, under its own name."""
    async with served() as service:
        with capture_logs() as logs:
            response = await ask(service, AUTHORITY.trusted_by(client))

    assert "billing" == response.decision.route_id
    assert [name] == [log["caller"] for log in logs if log["event"] == "rpc_completed"]


async def test_a_certificate_is_no_administrator() -> None:
    """Changing the server takes a line in the callers file."""
    async with (
        served() as service,
        aio.secure_channel(f"localhost:{service.port}", AUTHORITY.trusted_by(GATEWAY)) as channel,
    ):
        stub: PolicyServiceAsyncStub = v1.PolicyServiceStub(channel)
        with pytest.raises(aio.AioRpcError) as caught:
            await stub.ReloadPolicySets(v1.ReloadPolicySetsRequest(), timeout=5)

    assert StatusCode.PERMISSION_DENIED == caught.value.code()


async def test_a_callers_file_maps_certificates_to_names_and_scopes() -> None:
    """A certificate that is in no line is nobody, one that is may do what its line says."""
    async with served(BY_FILE) as service:
        with capture_logs() as logs:
            response = await ask(service, AUTHORITY.trusted_by(GATEWAY))
        scope = await refused(service, AUTHORITY.certify(dns=["operator.shop"]))
        unknown = await refused(service, AUTHORITY.certify(dns=["other.shop"]))
        nameless = await refused(service, AUTHORITY.certify())

    assert "billing" == response.decision.route_id
    assert ["gateway"] == [log["caller"] for log in logs if log["event"] == "rpc_completed"]
    assert (StatusCode.PERMISSION_DENIED, {"scope": "route"}) == (scope.code, dict(scope.info.metadata))
    assert (StatusCode.UNAUTHENTICATED,) * 2 == (unknown.code, nameless.code)


async def test_a_token_counts_before_the_certificate() -> None:
    """A sidecar's certificate carries the tokens of those behind it; a wrong token is not mended by a certificate."""
    callers = BY_FILE + f"{hashlib.sha256(b'app-token').hexdigest()} app route"

    async with served(callers) as service:
        with capture_logs() as logs:
            await ask(service, AUTHORITY.trusted_by(GATEWAY), bearer("app-token"))
        wrong = await refused(service, GATEWAY, bearer("other-token"))

    assert ["app"] == [log["caller"] for log in logs if log["event"] == "rpc_completed"]
    assert StatusCode.UNAUTHENTICATED == wrong.code
