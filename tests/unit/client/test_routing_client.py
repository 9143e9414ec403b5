"""The client against a real server."""

import asyncio
import subprocess
from itertools import chain, repeat
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from routing_services import SERVER_INFO, RefusedError, ScriptedService, matched, refused, serving

from archrouter import v1
from archrouter.client import (
    BlockingRoutingClient,
    ClientOptions,
    RetryOptions,
    RoutingClient,
    RoutingError,
    TlsOptions,
)

REQUEST = v1.SelectRouteRequest(messages=[v1.Message(role=v1.Role.ROLE_USER, content="hi")])
TOKEN = "t0ken"  # noqa: S105  # of no service
FAST_RETRY = RetryOptions(initial_backoff_s=0.01, max_backoff_s=0.02)


def _failing(*failures: RefusedError) -> ScriptedService:
    """Fail as told, one failure for each request, then decide."""
    script = chain(failures, repeat(None))

    def answer(_request: v1.SelectRouteRequest) -> v1.Decision:
        failure = next(script)
        if failure is not None:
            raise failure
        return matched("coding")

    return ScriptedService(answer)


async def _error(service: ScriptedService) -> RoutingError:
    with serving(service) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0, retry=RetryOptions(max_attempts=1))) as client:
            with pytest.raises(RoutingError) as raised:
                await client.select_route(REQUEST)
    return raised.value


async def test_call_returns_decision_and_sends_default_deadline() -> None:
    """A call without a deadline of its own travels with that of the options."""
    service = _failing()

    with serving(service) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=30.0)) as client:
            response = await client.select_route(REQUEST)

    assert "coding" == response.decision.route_id
    # From 10 s on, gRPC sends tenths of a second, rounded up (grpc/grpc, timeout_encoding.cc).
    assert 20.0 < service.remaining_s[0] <= 30.2


async def test_call_sends_own_deadline() -> None:
    """A deadline given with a call takes the place of the default."""
    service = _failing()

    with serving(service) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=30.0)) as client:
            await client.select_route(REQUEST, timeout_s=300.0)

    # From 100 s on, gRPC sends whole seconds, rounded up (grpc/grpc, timeout_encoding.cc).
    assert 290.0 < service.remaining_s[0] <= 301.0


async def test_call_sends_bearer_token() -> None:
    """The token of the options travels with the call; without one there is no such header."""
    service = _failing()

    with serving(service) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0, bearer_token=TOKEN)) as client:
            await client.select_route(REQUEST)
        async with RoutingClient(ClientOptions(target, timeout_s=5.0)) as client:
            await client.select_route(REQUEST)

    assert [f"Bearer {TOKEN}", None] == [metadata.get("authorization") for metadata in service.metadata]


async def test_call_is_retried_while_unavailable() -> None:
    """UNAVAILABLE is tried again until it passes, without the caller noticing."""
    service = _failing(refused(grpc.StatusCode.UNAVAILABLE), refused(grpc.StatusCode.UNAVAILABLE))

    with serving(service) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0, retry=FAST_RETRY)) as client:
            response = await client.select_route(REQUEST)

    assert "coding" == response.decision.route_id
    assert 3 == len(service.requests)


@pytest.mark.parametrize(
    "code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT]
)
async def test_call_is_not_retried_after_other_codes(code: grpc.StatusCode) -> None:
    """Every code but UNAVAILABLE ends the call at once."""
    service = _failing(refused(code))

    with serving(service) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0, retry=FAST_RETRY)) as client:
            with pytest.raises(RoutingError) as raised:
                await client.select_route(REQUEST)

    assert code is raised.value.code
    assert 1 == len(service.requests)


async def test_error_keeps_everything_of_the_status() -> None:
    """Code, reason, metadata, advised wait, decision id and the undecoded status: nothing is lost."""
    failure = RefusedError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "too much",
        error_details_pb2.ErrorInfo(reason="ERROR_REASON_OVERLOADED", domain="archrouter", metadata={"limit": "64"}),
        error_details_pb2.RetryInfo(retry_delay=Duration(nanos=250_000_000)),
    )

    error = await _error(_failing(failure))

    assert grpc.StatusCode.RESOURCE_EXHAUSTED is error.code
    assert "too much" == error.message
    assert "ERROR_REASON_OVERLOADED" == error.reason
    assert {"limit": "64"} == error.metadata
    assert 0.25 == error.retry_after_s
    assert "decision-1" == error.decision_id
    assert failure.status == status_pb2.Status.FromString(error.rich_status)
    assert "RESOURCE_EXHAUSTED: too much" == str(error)


async def test_error_has_no_reason_from_another_domain() -> None:
    """An ErrorInfo of something between client and service is not taken for the service's."""
    foreign = error_details_pb2.ErrorInfo(reason="RATE_LIMIT_EXCEEDED", domain="proxy.example")

    error = await _error(_failing(RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "no", foreign)))

    assert "" == error.reason
    assert {} == error.metadata


def test_error_survives_a_status_that_cannot_be_decoded() -> None:
    """Garbage in place of the rich status costs the details, not the error."""
    error = RoutingError(grpc.StatusCode.INTERNAL, "broken", b"\xff\xff")

    assert "" == error.reason
    assert b"\xff\xff" == error.rich_status


async def test_error_is_unavailable_where_nothing_listens() -> None:
    """A target without a server gives UNAVAILABLE without a reason, since no service spoke."""
    with serving(_failing()) as target:
        pass  # the port is free again

    async with RoutingClient(ClientOptions(target, timeout_s=5.0, retry=FAST_RETRY)) as client:
        with pytest.raises(RoutingError) as raised:
            await client.server_info()

    assert (grpc.StatusCode.UNAVAILABLE, "") == (raised.value.code, raised.value.reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, ""),
        (grpc.StatusCode.INTERNAL, ""),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "ERROR_REASON_OVERLOADED"),
    ],
)
async def test_select_models_returns_default_without_decision(code: grpc.StatusCode, reason: str) -> None:
    """While the service cannot decide, the caller's own default counts, with the cause; that is counted."""
    default = [v1.ModelTarget(model="models/default")]
    service = _failing(*[refused(code, reason) if reason else refused(code)] * 5)

    with serving(service) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0, retry=FAST_RETRY)) as client:
            selection = await client.select_models(REQUEST, default=default)

    assert (default, None) == (selection.models, selection.decision)
    assert selection.cause is not None
    assert (code, 1) == (selection.cause.code, client.fail_opens)


async def test_select_models_returns_models_of_the_decision() -> None:
    """A decision stands above the default."""
    with serving(_failing()) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0)) as client:
            selection = await client.select_models(REQUEST, default=[])

    assert ["models/coding"] == [model.model for model in selection.models]


async def test_select_models_raises_for_a_request_at_fault() -> None:
    """A request that can never succeed is an error, not a silent default for good."""
    with serving(_failing(refused(grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID"))) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0)) as client:
            with pytest.raises(RoutingError) as raised:
                await client.select_models(REQUEST, default=[])

    assert "ERROR_REASON_REQUEST_INVALID" == raised.value.reason


async def test_batch_and_server_info_use_the_same_translation() -> None:
    """Every method of the client speaks to the service and raises the client's own error."""
    with serving(_failing()) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0)) as client:
            info = await client.server_info()
            with pytest.raises(RoutingError) as raised:
                await client.batch_select_routes(v1.BatchSelectRoutesRequest())

    assert SERVER_INFO == info
    assert grpc.StatusCode.UNIMPLEMENTED is raised.value.code  # the scripted service has no batch


async def test_call_succeeds_over_tls(tmp_path: Path) -> None:
    """A channel with the server's root certificate is secure and carries the token."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    subprocess.run(  # noqa: ASYNC221  # a moment, and nothing else runs in this loop
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
    service = _failing()

    with serving(service, credentials) as target:
        tls = TlsOptions(root_certificates=certificate.read_bytes())
        async with RoutingClient(ClientOptions(target, timeout_s=5.0, tls=tls, bearer_token=TOKEN)) as client:
            response = await client.select_route(REQUEST)

    assert "coding" == response.decision.route_id
    assert f"Bearer {TOKEN}" == service.metadata[0]["authorization"]


async def test_select_models_raises_for_a_request_that_is_too_large() -> None:
    """RESOURCE_EXHAUSTED without the service's own reason is no overload: the request is at fault."""
    with serving(_failing(refused(grpc.StatusCode.RESOURCE_EXHAUSTED))) as target:
        async with RoutingClient(ClientOptions(target, timeout_s=5.0)) as client:
            with pytest.raises(RoutingError):
                await client.select_models(REQUEST, default=[])

    assert 0 == client.fail_opens


def test_client_of_another_event_loop_is_refused() -> None:
    """A client that a second event loop uses says so, instead of gRPC's confusion."""
    with serving(_failing()) as target:

        async def made_and_used() -> RoutingClient:
            client = RoutingClient(ClientOptions(target, timeout_s=5.0))
            await client.select_route(REQUEST)
            return client

        client = asyncio.run(made_and_used())
        with pytest.raises(RuntimeError, match="another event loop"):
            asyncio.run(client.select_route(REQUEST))


def test_blocking_client_decides_and_raises() -> None:
    """The client for threads has the same decision and the same typed error."""
    service = _failing(refused(grpc.StatusCode.NOT_FOUND, "ERROR_REASON_POLICY_SET_NOT_FOUND"))

    with serving(service) as target, BlockingRoutingClient(ClientOptions(target, timeout_s=5.0)) as client:
        with pytest.raises(RoutingError) as raised:
            client.select_models(REQUEST, default=[])
        selection = client.select_models(REQUEST, default=[])

    assert "ERROR_REASON_POLICY_SET_NOT_FOUND" == raised.value.reason
    assert ["models/coding"] == [model.model for model in selection.models]


async def test_calls_are_refused_without_end() -> None:
    """A call cannot be given an infinite deadline."""
    async with RoutingClient(ClientOptions("127.0.0.1:1")) as client:
        with pytest.raises(ValueError, match="finite"):
            await client.select_route(REQUEST, timeout_s=float("inf"))
