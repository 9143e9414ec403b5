"""The two rows of the API's error table that concern who calls, as a client sees them over the wire."""

import hashlib

import pytest
from grpc import StatusCode
from tests.support.rpc_service import RpcService, ServiceOptions, refusal_of, running_service, user_says

from archrouter import v1
from archrouter.rpc.credentials import Credentials

TOKENS = Credentials.from_text(f"{hashlib.sha256(b'router-token').hexdigest()} gateway route")


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Build the metadata of a caller with a token."""
    return (("authorization", f"Bearer {token}"),)


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param((), id="missing"),
        pytest.param((("authorization", "Basic cm91dGVy"),), id="other_scheme"),
        pytest.param((("authorization", "Bearer "),), id="empty_token"),
        pytest.param(bearer("wrong-token"), id="unknown_token"),
        pytest.param(bearer("router-token") * 2, id="twice"),
    ],
)
async def test_call_without_accepted_token_is_unauthenticated(metadata: tuple[tuple[str, str], ...]) -> None:
    """A server with tokens refuses a call that carries none it accepts, whatever the call asks for."""
    request = user_says("hello")
    request.policy_set = "policySets/absent"

    async with running_service(ServiceOptions(credentials=TOKENS)) as service:
        refusal = await refusal_of(service.routing.SelectRoute(request, metadata=metadata))

    assert (StatusCode.UNAUTHENTICATED, "ERROR_REASON_CREDENTIALS_INVALID", {}) == refusal.summary
    assert () == refusal.further


async def test_missing_scope_is_denied_before_existence_is_told() -> None:
    """A token without the scope learns the missing scope, and not whether the policy set exists."""
    request = v1.GetPolicySetRequest(name="policySets/absent")

    async with running_service(ServiceOptions(credentials=TOKENS)) as service:
        refusal = await refusal_of(service.policies.GetPolicySet(request, metadata=bearer("router-token")))

    assert (StatusCode.PERMISSION_DENIED, "ERROR_REASON_PERMISSION_DENIED", {"scope": "policy.read"}) == refusal.summary


async def test_open_server_grants_administration_to_its_own_machine(service: RpcService) -> None:
    """Where nobody authenticates, whoever calls over the loopback interface may reload."""
    response = await service.policies.ReloadPolicySets(v1.ReloadPolicySetsRequest())

    assert ["policySets/support"] == [one.name for one in response.policy_sets]


async def test_a_server_with_tokens_grants_nothing_to_its_own_machine() -> None:
    """The loopback interface takes the place of no token."""
    async with running_service(ServiceOptions(credentials=TOKENS)) as service:
        request = v1.ReloadPolicySetsRequest()
        refusal = await refusal_of(service.policies.ReloadPolicySets(request, metadata=bearer("router-token")))

    assert (StatusCode.PERMISSION_DENIED, "ERROR_REASON_PERMISSION_DENIED", {"scope": "admin"}) == refusal.summary


async def test_accepted_token_lets_the_call_pass() -> None:
    """A token with the scope gets its decision; the scheme's case does not matter."""
    metadata = (("authorization", "bearer router-token"),)

    async with running_service(ServiceOptions(credentials=TOKENS)) as service:
        response = await service.routing.SelectRoute(user_says("a refund"), metadata=metadata)

    assert "billing" == response.decision.route_id
