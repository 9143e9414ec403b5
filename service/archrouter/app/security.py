"""Builds what knows the callers, from the settings, and refuses a server that is open by mistake."""

import ipaddress
import socket
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

import structlog

from archrouter.app.credential_files import CredentialFiles, watch_credentials
from archrouter.app.key_set_url import KeySetUrl
from archrouter.config import Settings, split_address
from archrouter.domain.ticket import Tickets, read_keys
from archrouter.observability.metrics import Metrics
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.authentication.callers import Callers
from archrouter.rpc.authentication.json_web_tokens import JwtVerifier
from archrouter.rpc.tls import ServerTls

_CERTIFICATE, _KEY = "server.tls_certificate_file", "server.tls_private_key_file"
_CLIENT_CA, _CALLERS, _JWKS = "server.tls_client_ca_file", "auth.callers_file", "auth.jwt_jwks"
_TICKET_KEYS = "routing.ticket_key_file"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Security:
    """What the edge needs, and what keeps it up to date.

    Attributes:
        authenticator: Knows the callers; None where nobody has to authenticate.
        tickets: Signs and reads route tickets.
        tls: The listener's certificates; None in plaintext.
        files: What is looked at again and again.
        key_set: What is fetched again and again, every `refresh_interval_s` seconds.
    """

    authenticator: Authenticator | None
    tickets: Tickets
    tls: ServerTls | None
    files: tuple[CredentialFiles, ...]
    key_set: KeySetUrl | None
    refresh_interval_s: float

    def watchers(self) -> dict[str, Coroutine[object, object, None]]:
        """Give what runs as long as the service does, by name."""
        watchers = {"watch the credentials": watch_credentials(self.files)} if self.files else {}
        if self.key_set is not None:
            watchers["watch the key set"] = self.key_set.watch(self.refresh_interval_s)
        return watchers


async def build_security(settings: Settings, metrics: Metrics) -> Security:
    """Read certificates, callers and keys.

    Raises:
        OSError: When a file cannot be read, or the key set cannot be fetched.
        ValueError: When they, or the settings, cannot be used, or when everybody on the network could call.
    """
    auth, server, files = settings.auth, settings.server, []
    must_authenticate = bool(auth.callers_file or auth.jwt_jwks or server.tls_client_ca_file)
    _refuse_open_listener(settings, must_authenticate=must_authenticate)
    tls = verifier = key_set = authenticator = None
    tickets = Tickets(lifetime_s=settings.routing.ticket_lifetime_s)
    if server.tls_certificate_file or server.tls_private_key_file:
        tls = ServerTls()
        files.append(_tls_files(settings, tls, metrics))
    elif server.tls_client_ca_file:
        msg = f"{_CLIENT_CA} is set, but the server has no TLS; set {_CERTIFICATE} and {_KEY}, too"
        raise ValueError(msg)
    if auth.jwt_jwks:
        verifier = JwtVerifier(auth)
        if "://" in auth.jwt_jwks:
            key_set = KeySetUrl(auth.jwt_jwks, verifier.use_keys, metrics)
            verifier.refresh_by(key_set.refresh)
            await key_set.load()
        else:
            files.append(_file("jwks", _JWKS, auth.jwt_jwks, verifier.use_keys, metrics))
    if must_authenticate:
        authenticator = Authenticator(None, verifier)
        if auth.callers_file:
            use = authenticator.use_callers
            files.append(_file("callers", _CALLERS, auth.callers_file, lambda text: use(_callers(text)), metrics))
    if key_file := settings.routing.ticket_key_file:
        files.append(_file("ticket_keys", _TICKET_KEYS, key_file, lambda text: _use_keys(tickets, text), metrics))
    for group in files:
        group.load()
    return Security(authenticator, tickets, tls, tuple(files), key_set, auth.jwt_refresh_interval_s)


def _tls_files(settings: Settings, tls: ServerTls, metrics: Metrics) -> CredentialFiles:
    server = settings.server
    if not (server.tls_certificate_file and server.tls_private_key_file):
        msg = f"TLS needs both {_CERTIFICATE} and {_KEY}; set both or none"
        raise ValueError(msg)
    files = {_CERTIFICATE: server.tls_certificate_file, _KEY: server.tls_private_key_file}
    if server.tls_client_ca_file:
        files[_CLIENT_CA] = server.tls_client_ca_file

    def use(contents: Mapping[str, bytes]) -> None:
        """Show the new certificate, and tell until when it is good."""
        expires = tls.use(contents[_CERTIFICATE], contents[_KEY], contents.get(_CLIENT_CA, b""))
        metrics.certificate_expiry.set(expires.timestamp())

    return CredentialFiles("tls", files, use, metrics)


def _file(source: str, setting: str, path: str, use: Callable[[bytes], None], metrics: Metrics) -> CredentialFiles:
    return CredentialFiles(source, {setting: path}, lambda contents: use(contents[setting]), metrics)


def _use_keys(tickets: Tickets, content: bytes) -> None:
    tickets.replace_keys(read_keys(content.decode(errors="replace")))


def _callers(content: bytes) -> Callers:
    try:
        return Callers.from_text(content.decode())
    except UnicodeDecodeError:
        msg = "the callers file is not UTF-8"
        raise ValueError(msg) from None


def _refuse_open_listener(settings: Settings, *, must_authenticate: bool) -> None:
    """Refuse to serve everybody on the network unless that is said in so many words."""
    if _is_loopback(settings.server.listen):
        return
    if not (must_authenticate or settings.auth.allow_unauthenticated):
        msg = (
            f"server.listen is {settings.server.listen!r}, which other machines reach, and callers need not "
            f"authenticate; set {_CALLERS}, {_JWKS} or {_CLIENT_CA}, listen on 127.0.0.1, or set "
            "auth.allow_unauthenticated"
        )
        raise ValueError(msg)
    if must_authenticate and not settings.server.tls_certificate_file:
        _log.warning("tokens_travel_in_plaintext", listen=settings.server.listen, remedy=f"set {_CERTIFICATE}")


def _is_loopback(address: str) -> bool:
    host, port = split_address(address)
    if not host:
        return False
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return False
    return all(ipaddress.ip_address(place[0]).is_loopback for _, _, _, _, place in places)
