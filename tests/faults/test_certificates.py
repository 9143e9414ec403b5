"""The server's certificate and the clients' authority are exchanged under load, as Kubernetes exchanges a Secret."""

import asyncio
import hashlib
import socket
import ssl
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from cryptography import x509
from grpc import aio
from tests.support.certificates import Authority, Certificate, Issuer, SecretFolder
from tests.support.service_runs import ServiceProcess, sample_flags, service_process

from archrouter import v1

REQUEST = v1.SelectRouteRequest(
    messages=[v1.Message(role=v1.Role.ROLE_USER, content="my python script crashes, please fix it")]
)
CALLS_PER_CONNECTION = 5
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


@dataclass
class Load:
    """Callers that connect anew every few calls, beside one that keeps its connection.

    Attributes:
        trust: What new connections are made with.
        outcomes: Codes of all calls so far.
    """

    port: int
    trust: grpc.ChannelCredentials
    outcomes: Counter[str] = field(default_factory=Counter)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Call until the end."""
        self.tasks = [asyncio.create_task(self._connect(calls)) for calls in (CALLS_PER_CONNECTION,) * 3 + (1 << 30,)]

    async def stop(self) -> None:
        """End, after a hundred more calls."""
        await self.more()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def more(self, count: int = 100) -> None:
        """Wait for so many further calls."""
        wanted = self.outcomes.total() + count
        async with asyncio.timeout(60):
            while self.outcomes.total() < wanted:
                await asyncio.sleep(0.02)

    async def _connect(self, calls: int) -> None:
        while True:
            async with aio.secure_channel(f"localhost:{self.port}", self.trust, options=OWN_CONNECTION) as channel:
                stub: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(channel)
                for _ in range(calls):
                    self.outcomes[await outcome(stub)] += 1


async def outcome(stub: "v1.RoutingServiceAsyncStub") -> str:
    """Make one call."""
    try:
        await stub.SelectRoute(REQUEST, timeout=10)
    except aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "OK"


async def connects(service: ServiceProcess, trust: grpc.ChannelCredentials) -> bool:
    """Say whether a new connection gets an answer."""
    async with aio.secure_channel(f"localhost:{service.port}", trust, options=OWN_CONNECTION) as channel:
        return await outcome(v1.RoutingServiceStub(channel)) == "OK"


def shown_serial(service: ServiceProcess, client: Certificate, folder: Path) -> int:
    """Read the serial number of the certificate that the server shows a new connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    (folder / "client.pem").write_bytes(client.key + client.chain)
    context.load_cert_chain(folder / "client.pem")
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", service.port)) as plain, context.wrap_socket(plain) as secured:
        shown = secured.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


def serial(certificate: Certificate) -> int:
    """Read a certificate's serial number."""
    return x509.load_pem_x509_certificate(certificate.chain).serial_number


def tls_flags(triton_endpoint: str, secret: SecretFolder) -> tuple[str, ...]:
    """Name the files of a Secret."""
    return (
        *("--triton-endpoint", triton_endpoint),
        *("--server-tls-certificate-file", str(secret.folder / "tls.crt")),
        *("--server-tls-private-key-file", str(secret.folder / "tls.key")),
        *("--server-tls-client-ca-file", str(secret.folder / "ca.crt")),
    )


def caller_flags(triton_endpoint: str, secret: SecretFolder, issuer: Issuer) -> tuple[str, ...]:
    """Name the files of a Secret."""
    return (
        *("--triton-endpoint", triton_endpoint, "--auth-callers-file", str(secret.folder / "callers")),
        *("--auth-jwt-jwks", str(secret.folder / "jwks"), "--auth-jwt-issuer", issuer.url),
        *("--auth-jwt-audience", "archrouter"),
    )


async def test_certificates_are_exchanged_under_load_without_a_failed_call(
    root: Path, tmp_path: Path, triton_endpoint: str
) -> None:
    """Server certificate and client authority go over to another authority; clients of the old one stay out then."""
    old, new = Authority("the authority of last year"), Authority("the authority of this year")
    both = old.pem + new.pem
    first, second = old.server(), new.server()
    old_client, new_client = old.certify(uris=["spiffe://shop/old"]), new.certify(uris=["spiffe://shop/new"])
    trust_of_old = grpc.ssl_channel_credentials(both, old_client.key, old_client.chain)
    trust_of_new = grpc.ssl_channel_credentials(both, new_client.key, new_client.chain)
    secret, scratch = SecretFolder(tmp_path / "secret", mode=0o440), tmp_path / "scratch"
    scratch.mkdir()
    secret.write(tls_crt=first.chain, tls_key=first.key, ca_crt=old.pem)

    async with service_process(scratch, *tls_flags(triton_endpoint, secret), *sample_flags(root)) as service:
        load = Load(service.port, trust_of_old)
        load.start()
        await load.more()
        assert serial(first) == await asyncio.to_thread(shown_serial, service, old_client, scratch)
        assert not await connects(service, trust_of_new)

        secret.write(tls_crt=second.chain, tls_key=first.key, ca_crt=both)
        await service.logged("credentials_rejected")
        await load.more()
        secret.write(tls_crt=second.chain, tls_key=second.key, ca_crt=both)
        await service.logged("credentials_loaded")
        await load.more()
        load.trust = trust_of_new
        await load.more()
        assert serial(second) == await asyncio.to_thread(shown_serial, service, new_client, scratch)
        secret.write(tls_crt=second.chain, tls_key=second.key, ca_crt=new.pem)
        await service.logged("credentials_loaded", 2)
        await load.more()
        assert not await connects(service, trust_of_old)
        await load.stop()

        callers = Counter(str(line["caller"]) for line in service.records("rpc_completed"))

    assert {"OK"} == set(load.outcomes), load.outcomes
    assert {"spiffe://shop/old", "spiffe://shop/new"} == set(callers)


async def test_a_callers_file_and_a_key_set_are_exchanged_without_a_restart(
    root: Path, tmp_path: Path, triton_endpoint: str
) -> None:
    """A token that was taken back is refused by the next call, on the same connection."""

    def line(token: str) -> bytes:
        return f"{hashlib.sha256(token.encode()).hexdigest()} {token} route\n".encode()

    issuer, secret, scratch = Issuer(), SecretFolder(tmp_path / "secret", mode=0o440), tmp_path / "scratch"
    scratch.mkdir()
    secret.write(callers=line("first"), jwks=issuer.key_set)
    old_jwt = issuer.token()

    flags = (*caller_flags(triton_endpoint, secret, issuer), *sample_flags(root))
    async with service_process(scratch, *flags) as service:
        stub: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(service.channel)

        async def code(token: str) -> str:
            try:
                await stub.SelectRoute(REQUEST, timeout=10, metadata=(("authorization", f"Bearer {token}"),))
            except aio.AioRpcError as error:
                return error.code().name
            return "OK"

        before = [await code(token) for token in ("first", "second", old_jwt)]
        issuer.rotate()
        secret.write(callers=line("second"), jwks=issuer.key_set)
        await service.logged("credentials_loaded", 2)
        after = [await code(token) for token in ("first", "second", old_jwt, issuer.token())]
        secret.write(callers=b"nonsense", jwks=b"nonsense")
        await service.logged("credentials_rejected", 2)
        kept = [await code(token) for token in ("second", issuer.token())]

    assert ["OK", "UNAUTHENTICATED", "OK"] == before
    assert ["UNAUTHENTICATED", "OK", "UNAUTHENTICATED", "OK"] == after
    assert ["OK", "OK"] == kept
