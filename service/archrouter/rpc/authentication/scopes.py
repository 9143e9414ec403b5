"""Scopes: what a caller may do, and with which policy sets."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

EVERY_POLICY_SET = "*"
_PATTERN = re.compile(r"[a-z0-9-]{1,64}|[a-z0-9-]{0,63}\*")


class Scope(StrEnum):
    """What a caller may do."""

    ROUTE = "route"
    INLINE = "inline"
    POLICY_READ = "policy.read"
    ADMIN = "admin"


SCOPES_OF_POLICY_SETS = frozenset({Scope.ROUTE, Scope.POLICY_READ})
"""Those that may be given for some policy sets only, as in ``route:billing-*``."""

OPEN_SCOPES = frozenset(Scope) - {Scope.ADMIN}
"""What anybody may do on a server that knows no callers. Changing it takes a credential, or its own machine."""


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

Grants = Mapping[Scope, tuple[str, ...]]
"""Scopes, and the patterns of the policy sets that each is for."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who has authenticated.

    Attributes:
        name: Who it is; appears in the log.
        grants: What it may do.
    """

    name: str
    grants: Grants

    def may(self, scope: Scope) -> bool:
        """Say whether the caller has a scope, be it for some policy sets only."""
        return scope in self.grants

    def sees(self, scope: Scope, policy_set_id: str) -> bool:
        """Say whether the caller may use a policy set so; for one that does not exist as for one that does."""
        return any(fnmatchcase(policy_set_id, pattern) for pattern in self.grants.get(scope, ()))

    def sees_all(self, scope: Scope) -> bool:
        """Say whether the caller may use every policy set so."""
        return EVERY_POLICY_SET in self.grants.get(scope, ())


def grants_of(words: Iterable[str]) -> Grants:
    """Read scopes, e.g. ``route:billing-*``; a scope without a policy set is for all.

    Raises:
        ValueError: For the first word that is no scope; the text says what is.
    """
    grants: dict[Scope, tuple[str, ...]] = {}
    for word in words:
        name, colon, pattern = word.partition(":")
        if name not in set(Scope):
            msg = f"{word!r} is no scope (known: {', '.join(Scope)})"
            raise ValueError(msg)
        scope = Scope(name)
        if colon and scope not in SCOPES_OF_POLICY_SETS:
            msg = f"{word!r} names policy sets, but {name!r} is not about any; write {name!r}"
            raise ValueError(msg)
        if colon and not _PATTERN.fullmatch(pattern):
            msg = f"{word!r} names no policy set; write its id, of a-z, 0-9 and '-', or the start of it and '*'"
            raise ValueError(msg)
        grants[scope] = (*grants.get(scope, ()), pattern or EVERY_POLICY_SET)
    return grants


EVERYTHING_OPEN: Grants = dict.fromkeys(sorted(OPEN_SCOPES), (EVERY_POLICY_SET,))
"""The grants of a caller whose certificate is all that is asked for."""
