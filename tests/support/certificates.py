"""Certificates and JSON Web Tokens, made in the test that needs them."""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.support.config_map import mount_config_map

_ALREADY = timedelta(days=1)
_LONG = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, both PEM."""

    chain: bytes
    key: bytes = field(repr=False)


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "an authority") -> None:
        """Make a key of its own."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self._key.public_key(), _LONG)
        self._certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
            self._key, hashes.SHA256()
        )
        self.pem = self._certificate.public_bytes(Encoding.PEM)

    def certify(
        self, *, dns: Sequence[str] = (), uris: Sequence[str] = (), common_name: str = "", lifetime: timedelta = _LONG
    ) -> Certificate:
        """Sign a certificate; a negative lifetime gives one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [*map(x509.DNSName, dns), *map(x509.UniformResourceIdentifier, uris)]
        if "localhost" in dns:
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        builder = _builder(_name(common_name), self._name, key.public_key(), lifetime)
        if names:
            # Without a subject they must be critical (RFC 5280, section 4.2.1.6); Java reads no other.
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not common_name)
        return Certificate(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM), _pem(key))

    def server(self) -> Certificate:
        """Certify this machine."""
        return self.certify(dns=["localhost"])

    def trusted_by(self, client: Certificate | None = None) -> grpc.ChannelCredentials:
        """Build what a client connects with that trusts this authority."""
        if client is None:
            return grpc.ssl_channel_credentials(self.pem)
        return grpc.ssl_channel_credentials(self.pem, client.key, client.chain)


class Issuer:
    """An identity provider: signs tokens, and publishes the keys that check them."""

    def __init__(self, url: str = "https://login.example") -> None:
        """Start with one key."""
        self.url = url
        self.key_id = ""
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.rotate()

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish no other."""
        self.key_id = f"key-{int(self.key_id.rpartition('-')[2] or 0) + 1}"
        self._keys = {self.key_id: ec.generate_private_key(ec.SECP256R1())}

    @property
    def key_set(self) -> bytes:
        """The JSON Web Key Set."""
        algorithm = jwt.algorithms.ECAlgorithm
        keys = [
            {**json.loads(algorithm.to_jwk(key.public_key())), "kid": key_id, "use": "sig", "alg": "ES256"}
            for key_id, key in self._keys.items()
        ]
        return json.dumps({"keys": keys}).encode()

    def token(self, *, key: "Issuer | None" = None, key_id: str | None = "", **claims: object) -> str:
        """Sign a token, good for a minute unless the claims say otherwise; None leaves a claim or the key's id out."""
        now = datetime.now(UTC)
        payload: dict[str, object] = {
            "iss": self.url,
            "aud": "archrouter",
            "sub": "gateway",
            "exp": now + timedelta(minutes=1),
            "scope": "route",
            **claims,
        }
        signer = key or self
        return jwt.encode(
            {name: value for name, value in payload.items() if value is not None},
            signer._keys[signer.key_id],
            algorithm="ES256",
            headers={} if key_id is None else {"kid": key_id or self.key_id},
        )


@dataclass(frozen=True, slots=True)
class SecretFolder:
    """A folder as Kubernetes mounts a Secret."""

    folder: Path
    mode: int = 0o644

    def write(self, **files: bytes) -> None:
        """Exchange all files at once; an underscore in a name stands for its dot."""
        self.folder.mkdir(exist_ok=True)
        contents = {name.replace("_", "."): content for name, content in files.items()}
        mount_config_map(self.folder, contents, self.mode)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _ALREADY)
        .not_valid_after(now + lifetime)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
