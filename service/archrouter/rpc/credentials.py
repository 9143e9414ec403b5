"""Who may call: bearer tokens, of which only digests are kept, and the scopes they grant."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from archrouter.rpc.errors import AuthenticationError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIELD_COUNT = 3


class Scope(StrEnum):
    """What a caller may do."""

    ROUTE = "route"
    POLICY_READ = "policy.read"
    ADMIN = "admin"


OPEN_SCOPES = frozenset(Scope) - {Scope.ADMIN}
"""What anybody may do on a server without tokens. Changing it takes a token, or to call from its own machine."""


@dataclass(frozen=True, slots=True)
class RpcMethod:
    """A method of the API, e.g. ``archrouter.v1.RoutingService`` and ``SelectRoute``."""

    rpc_service: str
    rpc_method: str


_ROUTING, _POLICY = "archrouter.v1.RoutingService", "archrouter.v1.PolicyService"

REQUIRED_SCOPES = {
    RpcMethod(_ROUTING, "SelectRoute"): Scope.ROUTE,
    RpcMethod(_ROUTING, "BatchSelectRoutes"): Scope.ROUTE,
    RpcMethod(_ROUTING, "GetServerInfo"): Scope.ROUTE,
    RpcMethod(_POLICY, "GetPolicySet"): Scope.POLICY_READ,
    RpcMethod(_POLICY, "ListPolicySets"): Scope.POLICY_READ,
    RpcMethod(_POLICY, "ValidatePolicySet"): Scope.POLICY_READ,
    RpcMethod(_POLICY, "ReloadPolicySets"): Scope.ADMIN,
}


class CredentialsFileError(ValueError):
    """A line of the tokens file cannot be used."""

    def __init__(self, line_number: int, problem: str) -> None:
        """Say where, counted from 1, and what; never repeats the line, which may hold a token by mistake."""
        super().__init__(
            f"tokens file, line {line_number}: {problem}; "
            "write '<sha256 of token, 64 lower-case hex digits> <name> <scope,scope>'"
        )
        self.line_number = line_number


@dataclass(frozen=True, slots=True)
class Credential:
    """One accepted token.

    Attributes:
        digest: SHA-256 of the token, 32 bytes.
        name: Who holds the token; appears in the log.
        scopes: What the token grants.
    """

    digest: bytes = field(repr=False)
    name: str
    scopes: frozenset[Scope]


class Credentials:
    """All accepted tokens."""

    def __init__(self, credentials: tuple[Credential, ...]) -> None:
        """Accept the tokens behind `credentials` and no other."""
        self._credentials = credentials

    @classmethod
    def from_text(cls, text: str) -> "Credentials":
        """Read a tokens file: one token a line; empty lines and lines that start with ``#`` say nothing.

        Raises:
            CredentialsFileError: For the first line that cannot be used, or when no line holds a token: such a file
                would lock everybody out.
        """
        credentials: list[Credential] = []
        for line_number, line in _content_lines(text):
            credential = _credential(line_number, line)
            if any(other.name == credential.name for other in credentials):
                raise CredentialsFileError(line_number, f"the name {credential.name!r} is taken by an earlier line")
            if any(hmac.compare_digest(other.digest, credential.digest) for other in credentials):
                raise CredentialsFileError(line_number, "the token is that of an earlier line")
            credentials.append(credential)
        if not credentials:
            raise CredentialsFileError(1, "there is no token in the file")
        return cls(tuple(credentials))

    def authenticate(self, metadata: Iterable[tuple[str, str | bytes]]) -> Credential:
        """Tell by the metadata of a call who calls; AuthenticationError when it carries no accepted token."""
        credential = self.find(_bearer_token(metadata))
        if credential is None:
            msg = "the bearer token is not accepted by this server"
            raise AuthenticationError(msg)
        return credential

    def find(self, token: str) -> Credential | None:
        """Look a token up; None when it is not accepted.

        Every digest is compared, each in constant time, so the answer's time tells nothing about a digest.
        """
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for credential in self._credentials:
            if hmac.compare_digest(credential.digest, digest):
                found = credential
        return found


def _bearer_token(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    values = [value for key, value in metadata if key == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str):
        msg = f"the call has {len(values)} 'authorization' metadata entries; send one, 'Bearer <token>'"
        raise AuthenticationError(msg)
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        msg = "the 'authorization' metadata is no bearer token; send 'Bearer <token>'"
        raise AuthenticationError(msg)
    return token.strip()


def _content_lines(text: str) -> Iterator[tuple[int, str]]:
    for line_number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if content and not content.startswith("#"):
            yield line_number, content


def _credential(line_number: int, line: str) -> Credential:
    fields = line.split()
    if len(fields) != _FIELD_COUNT:
        raise CredentialsFileError(line_number, f"{len(fields)} fields instead of {_FIELD_COUNT}")
    digest, name, scopes = fields
    if not _DIGEST.fullmatch(digest):
        raise CredentialsFileError(line_number, "the first field is no SHA-256 digest")
    unknown = [scope for scope in scopes.split(",") if scope not in set(Scope)]
    if unknown:
        raise CredentialsFileError(line_number, f"{unknown[0]!r} is no scope (known: {', '.join(Scope)})")
    return Credential(bytes.fromhex(digest), name, frozenset(Scope(scope) for scope in scopes.split(",")))
