"""Who may call: bearer tokens, of which only digests are kept, and the scopes they grant."""

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIELD_COUNT = 3


class Scope(StrEnum):
    """What a caller may do."""

    ROUTE = "route"
    POLICY_READ = "policy.read"
    ADMIN = "admin"


OPEN_SCOPES = frozenset(Scope) - {Scope.ADMIN}
"""What anybody may do on a server without tokens. Changing the server always takes a token."""


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
        """Read a tokens file.

        Args:
            text: One token a line; empty lines and lines that start with ``#`` say nothing.

        Returns:
            The accepted tokens, at least one.

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

    def find(self, token: str) -> Credential | None:
        """Look a token up.

        Every digest is compared, each in constant time, so the answer's time tells nothing about a digest.

        Args:
            token: What the caller sent.

        Returns:
            What the token grants; None when it is not accepted.
        """
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for credential in self._credentials:
            if hmac.compare_digest(credential.digest, digest):
                found = credential
        return found


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
