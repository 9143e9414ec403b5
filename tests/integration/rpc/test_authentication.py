"""Who may call, as a client sees it over the wire: tokens, scopes, and policy sets that are others'."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2
from structlog.testing import capture_logs
from tests.support.rpc_service import (
    SUPPORT,
    Refusal,
    RpcService,
    ServiceOptions,
    bearer,
    known_tokens,
    read_status,
    refusal_of,
    running_service,
    user_says,
)

from archrouter import v1
from archrouter.config import PoliciesSettings
from archrouter.rpc.health import COMPONENTS_OF_SERVICE

if TYPE_CHECKING:
    from collections.abc import Awaitable

TOKENS = known_tokens(gateway="route", billing="route:billing-*,policy.read:billing-*", reader="policy.read")
GATEWAY, BILLING, READER = bearer("gateway-token"), bearer("billing-token"), bearer("reader-token")
BILLING_EU = replace(SUPPORT, id="billing-eu")
NAMED = PoliciesSettings(default="support", inline_enabled=True)


def for_set(name: str) -> v1.SelectRouteRequest:
    """Build a request for a policy set."""
    request = user_says("a refund")
    request.policy_set = f"policySets/{name}"
    return request


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param((), id="missing"),
        pytest.param((("authorization", "Basic cm91dGVy"),), id="other_scheme"),
        pytest.param((("authorization", "Bearer "),), id="empty_token"),
        pytest.param(bearer("wrong-token"), id="unknown_token"),
        pytest.param(bearer("a.b.c"), id="looks_like_a_jwt"),
        pytest.param(bearer("wrong-token") * 5 + GATEWAY, id="after_too_many"),
    ],
)
async def test_call_without_accepted_token_is_unauthenticated(metadata: tuple[tuple[str, str], ...]) -> None:
    """A server with tokens refuses a call that carries none it accepts, whatever the call asks for, in one way."""
    async with running_service(ServiceOptions(authenticator=TOKENS)) as service:
        refusals = [
            await refusal_of(service.routing.SelectRoute(for_set("absent"), metadata=metadata)),
            await refusal_of(service.routing.SelectRoute(for_set("support"), metadata=metadata)),
            await refusal_of(service.policies.ListPolicySets(v1.ListPolicySetsRequest(), metadata=metadata)),
        ]

    for refusal in refusals:
        assert (StatusCode.UNAUTHENTICATED, "ERROR_REASON_CREDENTIALS_INVALID", {}) == refusal.summary
        assert () == refusal.further
    assert 1 == len({refusal.message for refusal in refusals})


async def test_a_second_authorization_header_does_not_break_a_call() -> None:
    """What a proxy adds of its own is passed over; the log says why a token is not accepted, the caller is not told."""
    metadata = (("authorization", "Basic cHJveHk="), *bearer("wrong-token"), *GATEWAY)

    async with running_service(ServiceOptions(authenticator=TOKENS)) as service:
        response = await service.routing.SelectRoute(user_says("a refund"), metadata=metadata)
        with capture_logs() as logs:
            refusal = await refusal_of(service.routing.SelectRoute(user_says("x"), metadata=bearer("wrong-token")))

    assert "billing" == response.decision.route_id
    assert "callers file" not in refusal.message
    assert "callers file" in logs[-1]["error_cause"]


async def test_authentication_comes_before_the_request_is_read() -> None:
    """Bytes that are no request are refused for the missing token, not for what they are."""
    async with running_service(ServiceOptions(authenticator=TOKENS)) as service:
        method: aio.UnaryUnaryMultiCallable[bytes, bytes] = service.channel.unary_unary(
            "/archrouter.v1.RoutingService/SelectRoute"
        )
        unknown = await refusal_of(method(b"\xff\xff"))
        known = await refusal_of(method(b"\xff\xff", metadata=GATEWAY))

    assert StatusCode.UNAUTHENTICATED == unknown.code
    assert StatusCode.INVALID_ARGUMENT == known.code


async def test_missing_scope_is_denied_before_existence_is_told() -> None:
    """A token without the scope learns the missing scope, and not whether the policy set exists."""
    async with running_service(ServiceOptions(authenticator=TOKENS)) as service:
        refusals = [
            await refusal_of(
                service.policies.GetPolicySet(v1.GetPolicySetRequest(name=f"policySets/{name}"), metadata=GATEWAY)
            )
            for name in ("absent", "support")
        ]

    assert (StatusCode.PERMISSION_DENIED, "ERROR_REASON_PERMISSION_DENIED", {"scope": "policy.read"}) == refusals[
        0
    ].summary
    assert refusals[0].summary == refusals[1].summary
    assert refusals[0].message == refusals[1].message


async def test_open_server_grants_administration_to_its_own_machine(service: RpcService) -> None:
    """Where nobody authenticates, whoever calls over the loopback interface may reload."""
    response = await service.policies.ReloadPolicySets(v1.ReloadPolicySetsRequest())

    assert ["policySets/support"] == [one.name for one in response.policy_sets]


async def test_a_server_with_tokens_grants_nothing_to_its_own_machine() -> None:
    """The loopback interface takes the place of no token."""
    async with running_service(ServiceOptions(authenticator=TOKENS)) as service:
        request = v1.ReloadPolicySetsRequest()
        refusal = await refusal_of(service.policies.ReloadPolicySets(request, metadata=bearer("gateway-token")))

    assert (StatusCode.PERMISSION_DENIED, "ERROR_REASON_PERMISSION_DENIED", {"scope": "admin"}) == refusal.summary


async def test_accepted_token_lets_the_call_pass() -> None:
    """A token with the scope gets its decision; the scheme's case does not matter."""
    metadata = (("authorization", "bearer gateway-token"),)

    async with running_service(ServiceOptions(authenticator=TOKENS)) as service:
        response = await service.routing.SelectRoute(user_says("a refund"), metadata=metadata)

    assert "billing" == response.decision.route_id


async def answers(service: RpcService, name: str) -> list[bytes]:
    """Ask for a policy set in each way; give the statuses as bytes, without what names the decision."""
    batch = await service.routing.BatchSelectRoutes(
        v1.BatchSelectRoutesRequest(requests=[for_set(name)]), metadata=BILLING
    )
    item = batch.results[0].error
    del item.details[-1]  # google.rpc.RequestInfo: the decision id
    statuses = [item.SerializeToString(deterministic=True)]
    calls: list[Awaitable[object]] = [
        service.routing.SelectRoute(for_set(name), metadata=BILLING),
        service.policies.GetPolicySet(v1.GetPolicySetRequest(name=f"policySets/{name}"), metadata=BILLING),
    ]
    for call in calls:
        with pytest.raises(aio.AioRpcError) as caught:
            await call
        trailing = dict(caught.value.trailing_metadata())
        del trailing["archrouter-decision-id"]
        statuses.append(repr((caught.value.code(), caught.value.details(), sorted(trailing.items()))).encode())
    return statuses


async def test_a_policy_set_of_others_answers_as_one_that_does_not_exist() -> None:
    """Byte for byte, in every call: the same name on a server that has the set, and on one that has not."""
    async with running_service(ServiceOptions(authenticator=TOKENS, sets=(SUPPORT, BILLING_EU))) as service:
        present = await answers(service, "support")
    async with running_service(ServiceOptions(authenticator=TOKENS, sets=(BILLING_EU,))) as service:
        absent = await answers(service, "support")

    assert present == absent
    assert all(b"support" in status for status in present)
    assert all(b"NOT_FOUND" in status for status in present)


async def test_the_order_of_checks_tells_nothing_either() -> None:
    """A request that is also malformed gets the same answer for a set of others as for one that does not exist."""
    request = v1.SelectRouteRequest(messages=[v1.Message(role=v1.Role.ROLE_ASSISTANT, content="x")])

    async with running_service(ServiceOptions(authenticator=TOKENS, sets=(SUPPORT, BILLING_EU))) as service:
        refusals: list[Refusal] = []
        for name in ("support", "absent1"):
            request.policy_set = f"policySets/{name}"
            refusals.append(await refusal_of(service.routing.SelectRoute(request, metadata=BILLING)))

    assert refusals[0].code == refusals[1].code
    assert refusals[0].info.reason == refusals[1].info.reason


async def test_the_default_set_is_subject_to_scopes() -> None:
    """A caller that may not use the default is told that there is none, by the call and by the server info."""
    async with running_service(ServiceOptions(authenticator=TOKENS, sets=(SUPPORT, BILLING_EU))) as service:
        hidden = await refusal_of(service.routing.SelectRoute(user_says("a refund"), metadata=BILLING))
        info = await service.routing.GetServerInfo(v1.GetServerInfoRequest(), metadata=BILLING)
        for_all = await service.routing.GetServerInfo(v1.GetServerInfoRequest(), metadata=GATEWAY)
    async with running_service(
        ServiceOptions(authenticator=TOKENS, policies=PoliciesSettings(), sets=(SUPPORT, BILLING_EU))
    ) as service:
        missing = await refusal_of(service.routing.SelectRoute(user_says("a refund"), metadata=BILLING))

    assert (missing.summary, missing.message, missing.further) == (hidden.summary, hidden.message, hidden.further)
    assert ("", "policySets/support") == (info.default_policy_set, for_all.default_policy_set)


async def test_a_caller_uses_and_lists_its_own_sets() -> None:
    """The list has the caller's sets only, page by page, and each of them can be used."""
    sets = (SUPPORT, BILLING_EU, replace(SUPPORT, id="billing-us"))

    async with running_service(ServiceOptions(authenticator=TOKENS, sets=sets)) as service:
        first = await service.policies.ListPolicySets(v1.ListPolicySetsRequest(page_size=1), metadata=BILLING)
        second = await service.policies.ListPolicySets(
            v1.ListPolicySetsRequest(page_size=1, page_token=first.next_page_token), metadata=BILLING
        )
        everything = await service.policies.ListPolicySets(v1.ListPolicySetsRequest(), metadata=READER)
        response = await service.routing.SelectRoute(for_set("billing-eu"), metadata=BILLING)

    assert ["policySets/billing-eu"] == [one.name for one in first.policy_sets]
    assert ["policySets/billing-us"] == [one.name for one in second.policy_sets]
    assert "" == second.next_page_token
    assert 3 == len(everything.policy_sets)
    assert "policySets/billing-eu" == response.decision.policy_set


async def test_inline_policy_sets_are_a_scope_of_their_own() -> None:
    """Who may route may not thereby bring policies along, in a batch neither."""
    tokens = known_tokens(gateway="route", tester="route:none,inline")
    request = user_says("a refund")
    request.inline_policy_set.fallback_models.add(model="m/general")
    request.inline_policy_set.routes.add(id="billing", description="an invoice or a refund").models.add(model="m/small")

    async with running_service(ServiceOptions(authenticator=tokens, policies=NAMED)) as service:
        refusal = await refusal_of(service.routing.SelectRoute(request, metadata=GATEWAY))
        batch = await service.routing.BatchSelectRoutes(
            v1.BatchSelectRoutesRequest(requests=[request]), metadata=GATEWAY
        )
        response = await service.routing.SelectRoute(request, metadata=bearer("tester-token"))

    assert (StatusCode.PERMISSION_DENIED, "ERROR_REASON_PERMISSION_DENIED", {"scope": "inline"}) == refusal.summary
    assert StatusCode.PERMISSION_DENIED == read_status(batch.results[0].error).code
    assert "policySets/inline" == response.decision.policy_set


async def test_health_names_no_policy_set_to_the_unauthenticated() -> None:
    """Probes need no token, so what they can ask for are the services of this API, whatever is loaded."""
    async with running_service(ServiceOptions(authenticator=TOKENS)) as service:
        check = service.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        with pytest.raises(aio.AioRpcError) as present:
            await check(health_pb2.HealthCheckRequest(service="policySets/support"))
        with pytest.raises(aio.AioRpcError) as absent:
            await check(health_pb2.HealthCheckRequest(service="policySets/absent"))

    assert (present.value.code(), present.value.details()) == (absent.value.code(), absent.value.details())
    assert all(name == "" or name.startswith("archrouter.") for name in COMPONENTS_OF_SERVICE)
