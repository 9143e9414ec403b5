"""TLS of the listener: certificates that are exchanged while it serves."""

from datetime import UTC, datetime
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)


class TlsFilesError(ValueError):
    """Certificate, key and client authorities do not make a usable whole; the text quotes none of them."""


class ServerTls:
    """What the listener shows its clients, and by whom their certificates must be signed.

    gRPC asks for it, from threads of its own, at each handshake; open connections keep what they were made with.
    """

    def __init__(self) -> None:
        """Start with nothing; `use` comes before `credentials`."""
        self._newest: grpc.ServerCertificateConfiguration | None = None
        self._requires_client = False

    def use(self, certificate_chain: bytes, private_key: bytes, client_authorities: bytes = b"") -> datetime:
        """Show these from the next handshake on.

        Args:
            certificate_chain: PEM, the server's own certificate first.
            private_key: PEM, not encrypted, of that certificate.
            client_authorities: PEM certificates that a client's certificate must come from; empty asks for none.
                Whether it is empty must not change.

        Returns:
            When the certificate expires.

        Raises:
            TlsFilesError: When they cannot be used; what was shown before stays.
        """
        expires = _checked_pair(certificate_chain, private_key)
        if client_authorities:
            _certificates(client_authorities, "server.tls_client_ca_file")
        self._requires_client = bool(client_authorities)
        self._newest = grpc.ssl_server_certificate_configuration(
            [(private_key, certificate_chain)], client_authorities or None
        )
        return expires

    def credentials(self) -> grpc.ServerCredentials:
        """Give what a listener is opened with; it follows every later `use`."""
        if self._newest is None:
            msg = "there is no certificate yet; call use first"
            raise TlsFilesError(msg)
        fetch: Any = self._taken  # the type stubs forget None, for no change
        return grpc.dynamic_ssl_server_credentials(self._newest, fetch, self._requires_client)

    def _taken(self) -> grpc.ServerCertificateConfiguration | None:
        """Give what is new since the last handshake, and None, for no change, after that."""
        newest, self._newest = self._newest, None
        return newest


def _checked_pair(certificate_chain: bytes, private_key: bytes) -> datetime:
    certificate = _certificates(certificate_chain, "server.tls_certificate_file")[0]
    try:
        key = load_pem_private_key(private_key, password=None)
    except (ValueError, TypeError) as error:
        msg = f"server.tls_private_key_file holds no PEM private key without a password ({type(error).__name__})"
        raise TlsFilesError(msg) from None  # the library's error may quote it
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        msg = "server.tls_private_key_file is not the key of the first certificate in server.tls_certificate_file"
        raise TlsFilesError(msg)
    expires = certificate.not_valid_after_utc
    if expires <= datetime.now(UTC):
        msg = f"the first certificate in server.tls_certificate_file has expired, on {expires.isoformat()}"
        raise TlsFilesError(msg)
    return expires


def _certificates(text: bytes, setting: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        msg = f"{setting} holds no PEM certificate"
        raise TlsFilesError(msg) from None
