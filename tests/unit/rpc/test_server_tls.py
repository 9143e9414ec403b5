"""Which files make the listener's TLS."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from tests.support.certificates import Authority

from archrouter.rpc.tls import ServerTls, TlsFilesError

AUTHORITY = Authority()
GOOD, OTHER = AUTHORITY.server(), AUTHORITY.server()


def locked(key: bytes) -> bytes:
    """Put a password on a key."""
    return load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        pytest.param((GOOD.chain, OTHER.key), "is not the key of", id="key_of_another"),
        pytest.param((GOOD.chain, GOOD.key[:90]), "tls_private_key_file", id="half_written_key"),
        pytest.param((GOOD.chain, locked(GOOD.key)), "without a password", id="key_with_password"),
        pytest.param((GOOD.chain[:90], GOOD.key), "tls_certificate_file", id="half_written_certificate"),
        pytest.param((b"", GOOD.key), "tls_certificate_file", id="empty_certificate"),
        pytest.param((GOOD.chain, GOOD.key, b"nonsense"), "tls_client_ca_file", id="client_authority"),
    ],
)
def test_files_that_do_not_fit_change_nothing(files: tuple[bytes, ...], problem: str) -> None:
    """The pair of before stays; the error names the setting and quotes nothing of the key."""
    tls = ServerTls()
    tls.use(GOOD.chain, GOOD.key)
    before = tls._newest

    with pytest.raises(TlsFilesError, match=problem) as caught:
        tls.use(*files)

    assert before is tls._newest
    assert GOOD.key.splitlines()[1].decode() not in str(caught.value)


def test_an_expired_certificate_is_refused() -> None:
    """No client would take it."""
    expired = AUTHORITY.certify(dns=["localhost"], lifetime=timedelta(minutes=-1))

    with pytest.raises(TlsFilesError, match="expired"):
        ServerTls().use(expired.chain, expired.key)


def test_the_time_of_expiry_is_told() -> None:
    """It is that of the server's own certificate, the first of the chain."""
    expected = x509.load_pem_x509_certificate(GOOD.chain).not_valid_after_utc

    assert expected == ServerTls().use(GOOD.chain + AUTHORITY.pem, GOOD.key)


def test_a_listener_needs_a_certificate_first() -> None:
    """There are no credentials of nothing."""
    with pytest.raises(TlsFilesError, match="call use first"):
        ServerTls().credentials()
