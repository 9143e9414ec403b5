"""Tells who calls, by what the call carries: a token, a JWT, or the certificate of its connection."""

from collections.abc import Iterable, Iterator, Mapping

from archrouter.rpc.authentication.callers import Callers
from archrouter.rpc.authentication.json_web_tokens import JwtVerifier
from archrouter.rpc.authentication.scopes import EVERYTHING_OPEN, Caller
from archrouter.rpc.errors import AuthenticationError

_IDENTITIES = ("peer_uri", "peer_dns", "x509_common_name")
"""Properties of gRPC's auth context that name a client, the best first."""

_MAX_TOKENS = 4
"""A proxy may add a header of its own; more than a few are no call in good faith."""

Metadata = Iterable[tuple[str, str | bytes]]
AuthContext = Mapping[str, Iterable[bytes]]


class Authenticator:
    """Authenticates calls. The callers are replaced while it works, from any thread."""

    def __init__(self, callers: Callers | None, verifier: JwtVerifier | None = None) -> None:
        """Accept the callers of a file and of verified JWTs.

        With neither, a client certificate that the connection has been made with is enough for everything but
        administration.
        """
        self._callers = callers
        self._verifier = verifier

    def use_callers(self, callers: Callers) -> None:
        """Accept these callers from now on."""
        self._callers = callers

    async def authenticate(self, metadata: Metadata, auth_context: AuthContext) -> Caller:
        """Tell who calls.

        Args:
            metadata: Of the call. A bearer token counts before the certificate; of several tokens, the first accepted.
            auth_context: Of the connection; empty without TLS.

        Returns:
            The caller.

        Raises:
            AuthenticationError: When nothing that the call carries is accepted; the text is for the log.
        """
        tokens = list(_bearer_tokens(metadata))
        if not tokens:
            return self._by_certificate(client_identity(auth_context))
        refusal = AuthenticationError("the bearer token is in no line of the callers file")
        for token in tokens[:_MAX_TOKENS]:
            try:
                return await self._by_token(token)
            except AuthenticationError as error:
                refusal = error
        raise refusal

    async def _by_token(self, token: str) -> Caller:
        caller = self._callers.by_token(token) if self._callers is not None else None
        if caller is not None:
            return caller
        if self._verifier is None:
            msg = "the bearer token is in no line of the callers file"
            raise AuthenticationError(msg)
        claims = await self._verifier.verify(token)
        listed = self._callers.by_subject(claims.subject) if self._callers is not None else None
        if listed is None:
            return Caller(claims.subject, claims.grants)
        every = {**claims.grants}
        for scope, patterns in listed.grants.items():
            every[scope] = (*every.get(scope, ()), *patterns)
        return Caller(listed.name, every)

    def _by_certificate(self, identity: str) -> Caller:
        if not identity:
            msg = "the call carries no bearer token, and its connection no client certificate with a name"
            raise AuthenticationError(msg)
        if self._callers is None and self._verifier is None:
            return Caller(identity, EVERYTHING_OPEN)
        caller = self._callers.by_certificate(identity) if self._callers is not None else None
        if caller is None:
            msg = f"no line of the callers file has certificate:{identity}, and the call carries no bearer token"
            raise AuthenticationError(msg)
        return caller


def client_identity(auth_context: AuthContext) -> str:
    """Name the owner of a verified client certificate: its first URI, else its first DNS name, else its common name.

    Empty without one.
    """
    for name in _IDENTITIES:
        for value in auth_context.get(name, ()):
            return value.decode("utf-8", "replace")
    return ""


def _bearer_tokens(metadata: Metadata) -> Iterator[str]:
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str):
            scheme, _, token = value.partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                yield token.strip()
