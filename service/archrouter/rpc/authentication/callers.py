"""The callers file: who may call by which credential, and the scopes it grants. Of tokens it holds digests only."""

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from archrouter.rpc.authentication.scopes import Caller, grants_of

CERTIFICATE_PREFIX = "certificate:"
SUBJECT_PREFIX = "subject:"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIELD_COUNT = 3


class CallersFileError(ValueError):
    """A line of the callers file cannot be used."""

    def __init__(self, line_number: int, problem: str) -> None:
        """Say where, counted from 1, and what; never repeats a credential, which may be a token by mistake."""
        super().__init__(
            f"callers file, line {line_number}: {problem}; write '<credential> <name> <scope,scope>', the credential "
            "being the token's SHA-256 in 64 lower-case hex digits, certificate:<identity> or subject:<JWT subject>"
        )
        self.line_number = line_number


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line: a caller and what it shows, in the bytes of a digest, or in words."""

    digest: bytes = field(repr=False)
    identity: str
    caller: Caller


class Callers:
    """All callers of a file."""

    def __init__(self, entries: tuple[_Entry, ...]) -> None:
        """Accept the credentials of `entries` and no other."""
        self._digests = tuple((entry.digest, entry.caller) for entry in entries if entry.digest)
        self._identities = {entry.identity: entry.caller for entry in entries if entry.identity}

    @classmethod
    def from_text(cls, text: str) -> "Callers":
        """Read a callers file: one caller a line; empty lines and lines that start with ``#`` say nothing.

        Raises:
            CallersFileError: For the first line that cannot be used, or when no line holds a caller: such a file
                would lock everybody out.
        """
        entries: list[_Entry] = []
        for line_number, line in _content_lines(text):
            entry = _entry(line_number, line)
            if any(other.caller.name == entry.caller.name for other in entries):
                raise CallersFileError(line_number, f"the name {entry.caller.name!r} is taken by an earlier line")
            if any((other.digest, other.identity) == (entry.digest, entry.identity) for other in entries):
                raise CallersFileError(line_number, "the credential is that of an earlier line")
            entries.append(entry)
        if not entries:
            raise CallersFileError(1, "there is no caller in the file")
        return cls(tuple(entries))

    def by_token(self, token: str) -> Caller | None:
        """Look a token up; None when it is not accepted.

        Every digest is compared, each in constant time, so the answer's time tells nothing about a digest.
        """
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for accepted, caller in self._digests:
            if hmac.compare_digest(accepted, digest):
                found = caller
        return found

    def by_certificate(self, identity: str) -> Caller | None:
        """Look the identity of a verified client certificate up."""
        return self._identities.get(CERTIFICATE_PREFIX + identity)

    def by_subject(self, subject: str) -> Caller | None:
        """Look the subject of a verified JWT up."""
        return self._identities.get(SUBJECT_PREFIX + subject)


def _content_lines(text: str) -> Iterator[tuple[int, str]]:
    for line_number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if content and not content.startswith("#"):
            yield line_number, content


def _entry(line_number: int, line: str) -> _Entry:
    fields = line.split()
    if len(fields) != _FIELD_COUNT:
        raise CallersFileError(line_number, f"{len(fields)} fields instead of {_FIELD_COUNT}")
    credential, name, scopes = fields
    is_identity = any(
        credential.startswith(prefix) and credential != prefix for prefix in (CERTIFICATE_PREFIX, SUBJECT_PREFIX)
    )
    if not is_identity and not _DIGEST.fullmatch(credential):
        raise CallersFileError(line_number, "the first field is no SHA-256 digest, certificate or subject")
    try:
        caller = Caller(name, grants_of(scopes.split(",")))
    except ValueError as error:
        raise CallersFileError(line_number, str(error)) from None
    return _Entry(b"" if is_identity else bytes.fromhex(credential), credential if is_identity else "", caller)
