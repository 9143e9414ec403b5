"""Asks who calls, before anything is looked up."""

from archrouter.domain.errors import AuthenticationError, AuthorizationError
from archrouter.rpc.call import current_call
from archrouter.rpc.credentials import OPEN_SCOPES, Credentials, Scope
from archrouter.rpc.interceptors.unary import Behaviour, Context, RequestT, ResponseT, RpcMethod, UnaryInterceptor

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

_SCHEME = "bearer"


class AuthInterceptor(UnaryInterceptor):
    """Lets a call pass whose bearer token grants the scope of its method."""

    def __init__(self, credentials: Credentials | None) -> None:
        """Accept `credentials`; None accepts everybody for everything but administration."""
        self._credentials = credentials

    async def intercept(
        self, method: RpcMethod, request: RequestT, context: Context, proceed: Behaviour[RequestT, ResponseT]
    ) -> ResponseT:
        """Check one call. See the base class.

        Raises:
            AuthenticationError: When the call carries no accepted token.
            AuthorizationError: When the token does not grant the scope.
        """
        required = REQUIRED_SCOPES[method]
        if required not in self._granted_scopes(context):
            raise AuthorizationError(required.value)
        return await proceed(request, context)

    def _granted_scopes(self, context: Context) -> frozenset[Scope]:
        if self._credentials is None:
            return OPEN_SCOPES
        credential = self._credentials.find(_bearer_token(context))
        if credential is None:
            msg = "the bearer token is not accepted by this server"
            raise AuthenticationError(msg)
        current_call().log_fields["caller"] = credential.name
        return credential.scopes


def _bearer_token(context: Context) -> str:
    values = [value for key, value in context.invocation_metadata() or () if key == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str):
        msg = f"the call has {len(values)} 'authorization' metadata entries; send one, 'Bearer <token>'"
        raise AuthenticationError(msg)
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != _SCHEME or not token.strip():
        msg = "the 'authorization' metadata is no bearer token; send 'Bearer <token>'"
        raise AuthenticationError(msg)
    return token.strip()
