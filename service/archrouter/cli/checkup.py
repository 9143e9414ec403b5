"""What `archrouter doctor` looks at in a running deployment, from outside, as a caller sees it."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator

import grpc
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from archrouter.cli.checkup_calls import Caller
from archrouter.cli.diagnosis import Diagnosis, Level
from archrouter.client import ClientOptions, open_channel

CERTIFICATE_WARNING_S = 14 * 24 * 3600.0

KEEPALIVE_S = 10.0
"""How often clients ping an idle connection: as Go's and Java's defaults allow, and load balancers need."""

_PROXIES = frozenset({"grpc_proxy", "https_proxy", "http_proxy"})
"""Variables by which gRPC goes through a proxy, to hosts that are not in no_proxy."""

SERVICES = ("", "archrouter.v1.RoutingService", "archrouter.v1.PolicyService", "archrouter.endpoints")
_CAUSES = {
    "": "a service of it is not ready; which one is told below",
    "archrouter.v1.RoutingService": "model or policy sets are not ready; see the logs of the service and of Triton",
    "archrouter.v1.PolicyService": "it has no policy set; run archrouter check on its folder",
    "archrouter.endpoints": "an endpoint of its list is not ready; run archrouter endpoints check",
}


async def diagnose(options: ClientOptions, *, triton: str, watch_s: float) -> AsyncIterator[Diagnosis]:
    """Look at a deployment; what depends on a thing that is broken is left out.

    Args:
        options: How to reach the service.
        triton: HOST:PORT of Triton's gRPC as seen from here; empty looks at none.
        watch_s: Seconds to watch an idle connection; 0 watches none.

    Yields:
        Findings, in the order in which things depend on each other.
    """
    network = _network(options)
    for found in network:
        yield found
    if any(found.level is Level.ERROR for found in network):
        return
    async with open_channel(options) as channel:
        connected = await _connected(channel, options)
        yield connected
        if connected.level is Level.ERROR:
            return
        async for found in _health(channel, options):
            yield found
        caller = Caller(channel, options)
        async for found in caller.look():
            yield found
    if triton:
        yield await _triton(triton, options.timeout_s)
    if watch_s:
        yield await _keepalive(options, watch_s)


def _address(options: ClientOptions) -> tuple[str, int]:
    """Read host and port off a target; ValueError for one of another scheme, e.g. ``unix:``."""
    host, _, port = options.target.removeprefix("dns:///").rpartition(":")
    return host.strip("[]"), int(port)


def _network(options: ClientOptions) -> list[Diagnosis]:
    """Connect without gRPC first: its errors do not tell a closed port from a wrong protocol."""
    try:
        address = _address(options)
    except ValueError:
        return [Diagnosis("network", Level.NOTE, f"{options.target} is no HOST:PORT; only gRPC tries it")]
    try:
        with socket.create_connection(address, options.timeout_s):
            found = [Diagnosis("network", Level.OK, f"{options.target} accepts connections")]
    except OSError as error:
        remedy = "Is the service running there, on this port (server.listen), and does a firewall let you through?"
        return [Diagnosis("network", Level.ERROR, f"{options.target} cannot be reached: {error}", remedy)]
    speaks_tls = _certificate(options, verify=False) is not None
    if options.tls is None and speaks_tls:
        remedy = "Connect by TLS: --tls, and the PEM file of its authority where that is one of your own."
        found.append(Diagnosis("tls", Level.ERROR, "the server speaks TLS, and you connect in plaintext", remedy))
    if options.tls is not None and not speaks_tls:
        remedy = "Leave the options of TLS out, or give the service a certificate (server.tls_certificate_file)."
        found.append(Diagnosis("tls", Level.ERROR, "the server speaks no TLS, and you connect by TLS", remedy))
    elif options.tls is not None:
        found.append(_expiry(options))
    return found


def _certificate(options: ClientOptions, *, verify: bool) -> dict[str, object] | None:
    """Shake hands: the certificate, empty where it was not verified; None where nobody speaks TLS."""
    host, port = _address(options)
    context = ssl.create_default_context()
    tls = options.tls
    if tls is not None and tls.root_certificates:
        context.load_verify_locations(cadata=tls.root_certificates.decode("ascii", errors="replace"))
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, port), options.timeout_s) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as secured:
                return dict(secured.getpeercert() or {})
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError as error:
            return {} if "ALERT" in (error.reason or "") else None  # who answers with an alert speaks TLS
        except OSError:
            return None


def _expiry(options: ClientOptions) -> Diagnosis:
    try:
        certificate = _certificate(options, verify=True) or {}
    except ssl.SSLCertVerificationError as error:
        remedy = "Name the PEM file of its authority; the certificate must be for the host name that you connect to."
        return Diagnosis("tls", Level.ERROR, f"the certificate is not trusted: {error.verify_message}", remedy)
    if "notAfter" not in certificate:
        return Diagnosis(
            "tls", Level.NOTE, "the server asks for a certificate of yours before it shows how long its own lasts"
        )
    left_s = ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()
    seen = f"the certificate expires in {left_s / 86400:.0f} days"
    if left_s < CERTIFICATE_WARNING_S:
        return Diagnosis("tls", Level.WARNING, seen, "Renew it; the service reads its files again by itself.")
    return Diagnosis("tls", Level.OK, seen)


async def _connected(channel: aio.Channel, options: ClientOptions) -> Diagnosis:
    try:
        await asyncio.wait_for(channel.channel_ready(), options.timeout_s)
    except TimeoutError:
        remedies = ["Is this a gRPC service, or something else on its port?"]
        if options.tls is not None:
            remedies.append("It may ask for a certificate of yours, or not be for this host name.")
        if proxies := sorted(name for name in os.environ if name in _PROXIES):
            remedies.append(f"gRPC goes by {', '.join(proxies)}; except the host in no_proxy.")
        seen = f"no gRPC connection came about within {options.timeout_s:g} s"
        return Diagnosis("grpc", Level.ERROR, seen, " ".join(remedies))
    return Diagnosis("grpc", Level.OK, "connected")


async def _health(channel: aio.Channel, options: ClientOptions) -> AsyncIterator[Diagnosis]:
    for service in SERVICES:
        subject = f"health {service or 'of the server'}"
        try:
            answer = await HealthStub(channel).Check(HealthCheckRequest(service=service), timeout=options.timeout_s)
        except grpc.aio.AioRpcError as error:
            remedy = "Is this an archrouter service? A proxy on the way must pass grpc.health.v1.Health."
            yield Diagnosis(subject, Level.ERROR, f"{error.code().name}: {error.details()}", remedy)
            continue
        if answer.status == HealthCheckResponse.SERVING:
            yield Diagnosis(subject, Level.OK, "SERVING")
        else:
            level = Level.WARNING if service == SERVICES[-1] else Level.ERROR
            yield Diagnosis(subject, level, "NOT_SERVING", f"It does not answer: {_CAUSES[service]}.")


async def _triton(endpoint: str, timeout_s: float) -> Diagnosis:
    async with aio.insecure_channel(endpoint) as channel:
        try:
            answer = await HealthStub(channel).Check(HealthCheckRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            remedy = (
                "Is Triton running there, with gRPC on this port? From the service's machine it may look different."
            )
            return Diagnosis("triton", Level.ERROR, f"{endpoint}: {error.code().name}: {error.details()}", remedy)
    if answer.status == HealthCheckResponse.SERVING:
        return Diagnosis("triton", Level.OK, f"{endpoint} is ready")
    return Diagnosis("triton", Level.ERROR, f"{endpoint} is not ready", "A model of it did not load; see its log.")


async def _keepalive(options: ClientOptions, watch_s: float) -> Diagnosis:
    """Hold an idle connection and ping it: what servers and proxies dislike they close."""
    pings = (
        ("grpc.keepalive_time_ms", round(KEEPALIVE_S * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    )
    async with open_channel(options, *pings) as channel:
        await asyncio.wait_for(channel.channel_ready(), options.timeout_s)
        started_s = time.monotonic()
        try:
            await asyncio.wait_for(channel.wait_for_state_change(grpc.ChannelConnectivity.READY), watch_s)
        except TimeoutError:
            return Diagnosis("keepalive", Level.OK, f"an idle connection that pings lasted {watch_s:g} s")
    seen = (
        f"an idle connection that pings every {KEEPALIVE_S:g} s was closed after {time.monotonic() - started_s:.0f} s"
    )
    remedy = "A proxy or load balancer on the way closes idle connections or refuses pings: raise its idle timeout."
    return Diagnosis("keepalive", Level.WARNING, seen, remedy)
