"""JSON Web Tokens: checked by a key set that others publish, and read as a caller with scopes."""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from archrouter.config import AuthSettings
from archrouter.rpc.authentication.scopes import Grants, grants_of
from archrouter.rpc.errors import AuthenticationError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key pair. A shared secret (HS…) would let whoever can check tokens make them, and none is none."""

MAX_REMEMBERED = 1024
"""Accepted tokens that are not checked again until they expire or the keys change: a check takes the event loop 0.3 ms,
and callers send the same token for minutes. They are known by their digests."""

REQUIRED_CLAIMS = ("exp", "iss", "aud", "sub")


@dataclass(frozen=True, slots=True)
class Claims:
    """What an accepted token says."""

    subject: str
    grants: Grants


class JwtVerifier:
    """Checks tokens. The keys are replaced while it works, from any thread."""

    def __init__(self, settings: AuthSettings) -> None:
        """Start without keys.

        Raises:
            ValueError: For settings by which every token of the key set, or none, would pass; it names them.
        """
        for name in ("jwt_issuer", "jwt_audience"):
            if not getattr(settings, name):
                msg = f"auth.jwt_jwks is set, but auth.{name} is empty; every token of the key set would pass"
                raise ValueError(msg)
        self._algorithms = [name.strip() for name in settings.jwt_algorithms.split(",") if name.strip()]
        unknown = [name for name in self._algorithms if name not in ALGORITHMS]
        if unknown or not self._algorithms:
            msg = f"auth.jwt_algorithms has {', '.join(unknown) or 'no algorithm'}; take of {', '.join(ALGORITHMS)}"
            raise ValueError(msg)
        self._settings = settings
        self._refresh: Callable[[], Awaitable[None]] | None = None
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._verified: dict[bytes, tuple[float, Claims | None]] = {}

    def refresh_by(self, refresh: Callable[[], Awaitable[None]]) -> None:
        """Ask for newer keys, by `refresh`, when a token names one that is not there.

        It returns at once when it has asked a moment ago, and never raises.
        """
        self._refresh = refresh

    def use_keys(self, text: bytes) -> None:
        """Take a JSON Web Key Set; ValueError, and the keys of before, when no key of it can check a signature."""
        try:
            published = jwt.PyJWKSet.from_json(text.decode()).keys
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError) as error:
            msg = f"the text is no JSON Web Key Set ({type(error).__name__})"
            raise ValueError(msg) from None  # the library's error may quote a key
        keys = {key.key_id: key for key in published if key.key_type != "oct" and key.public_key_use in (None, "sig")}
        if not keys:
            msg = "the JSON Web Key Set has no public key that signatures can be checked by"
            raise ValueError(msg)
        self._keys = keys
        self._verified = {}

    async def verify(self, token: str) -> Claims:
        """Check a token and read it; AuthenticationError, which says why for the log, when it is not accepted."""
        verified = self._verified  # before the keys are read: what they accept is forgotten with them
        digest = hashlib.sha256(token.encode()).digest()
        until_s, claims = verified.get(digest, (0.0, None))
        if claims is not None and time.time() < until_s:
            return claims
        try:
            payload = await self._checked(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:  # the latter ones for odd JSON
            # Never the text: it may quote the token.
            raise AuthenticationError(f"the JWT is not accepted: {type(error).__name__}") from None  # noqa: EM102, TRY003
        claims = Claims(payload["sub"], self._grants(payload))
        if len(verified) >= MAX_REMEMBERED:
            verified.clear()
        verified[digest] = (int(payload["exp"]) + self._settings.jwt_leeway_s, claims)
        return claims

    async def _checked(self, token: str) -> Mapping[str, Any]:  # Any: of a JSON document
        settings = self._settings
        checked: Mapping[str, Any] = jwt.decode(
            token,
            await self._key(jwt.get_unverified_header(token)),
            algorithms=self._algorithms,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
            leeway=settings.jwt_leeway_s,
            options={"require": list(REQUIRED_CLAIMS), "enforce_minimum_key_length": True},
        )
        return checked

    async def _key(self, header: Mapping[str, Any]) -> jwt.PyJWK:  # Any: of a JSON document
        if header.get("alg") not in self._algorithms:
            raise jwt.InvalidAlgorithmError
        key_id = header.get("kid")
        if key_id not in self._keys and self._refresh is not None:
            await self._refresh()
        keys = self._keys
        if key_id is None and len(keys) == 1:
            return next(iter(keys.values()))
        if key_id not in keys:
            raise jwt.InvalidKeyError
        return keys[key_id]

    def _grants(self, payload: Mapping[str, Any]) -> Grants:  # Any: of a JSON document
        """Read the scopes of this service; what else the claim holds belongs to others."""
        claim, prefix = payload.get(self._settings.jwt_scope_claim, ()), self._settings.jwt_scope_prefix
        words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else ()
        grants: dict[Any, tuple[str, ...]] = {}
        for word in words:
            if isinstance(word, str) and word.startswith(prefix):
                try:
                    read = grants_of([word.removeprefix(prefix)])
                except ValueError:
                    continue
                for scope, patterns in read.items():
                    grants[scope] = (*grants.get(scope, ()), *patterns)
        return grants
