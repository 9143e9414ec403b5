"""What operators see of the calls: one log line each, and the metrics."""

import hashlib
from collections.abc import MutableMapping

import pytest
from grpc import aio
from structlog.testing import capture_logs
from tests.support.fake_backend import FAKE_PROFILE
from tests.support.rpc_service import (
    SUPPORT,
    RpcService,
    ServiceOptions,
    eventually,
    refusal_of,
    running_service,
    user_says,
)

from archrouter import v1
from archrouter.domain.errors import BackendUnavailableError
from archrouter.rpc.authentication.authenticator import Authenticator
from archrouter.rpc.authentication.callers import Callers

SECRET = "my-secret-invoice-number"  # noqa: S105  # stands for what nobody may read in a log
SELECT_ROUTE = {"rpc_service": "archrouter.v1.RoutingService", "rpc_method": "SelectRoute"}
VARYING_FIELDS = {"duration_s", "backend_duration_s", "peer", "confidence"}


Entries = list[MutableMapping[str, object]]


def completions(entries: Entries) -> Entries:
    """Return the lines of calls."""
    return [entry for entry in entries if entry["event"] == "rpc_completed"]


def completed(entries: Entries) -> MutableMapping[str, object]:
    """Return the one line of the one call."""
    (entry,) = completions(entries)
    return entry


async def test_decision_gets_one_line_with_every_field(service: RpcService) -> None:
    """The log line of a decision holds who, what, how long and by which revisions, under fixed names."""
    request = user_says(f"a refund {SECRET}")
    request.correlation_id = "order-1"
    trace = "0af7651916cd43dd8448eb211c80319c"

    with capture_logs() as entries:
        response = await service.routing.SelectRoute(
            request, metadata=(("traceparent", f"00-{trace}-b7ad6b7169203331-01"),)
        )

    line = dict(completed(entries))
    assert VARYING_FIELDS <= line.keys()
    assert {
        "event": "rpc_completed",
        "log_level": "info",
        **SELECT_ROUTE,
        "grpc_code": "OK",
        "correlation_id": "order-1",
        "decision_id": response.decision.decision_id,
        "trace_id": trace,
        "policy_set": "support",
        "policy_set_revision": SUPPORT.revision,
        "outcome": "matched",
        "reasons": ["route_leads", "threshold_of_route"],
        "route_id": "billing",
        "prompt_token_count": response.decision.usage.prompt_token_count,
        "dropped_token_count": 0,
        "model_version": FAKE_PROFILE.model_version,
        "tier": "compact",
    } == {name: value for name, value in line.items() if name not in VARYING_FIELDS}


async def test_message_content_is_never_logged(service: RpcService) -> None:
    """Neither a decision, nor a refusal, nor a crash writes what a message holds into the log."""
    with capture_logs() as entries:
        await service.routing.SelectRoute(user_says(SECRET))
        await refusal_of(service.routing.SelectRoute(user_says(SECRET * 1000)))
        service.backend.crash = RuntimeError("boom")
        await refusal_of(service.routing.SelectRoute(user_says(SECRET)))
        await eventually(lambda: len(completions(entries)) == 3)

    assert 4 == len(entries)
    assert SECRET not in repr(entries)


async def test_refused_call_is_logged_with_its_reason(service: RpcService) -> None:
    """The line of a caller's mistake has the reason that was sent and is no warning."""
    with capture_logs() as entries:
        refusal = await refusal_of(service.routing.SelectRoute(v1.SelectRouteRequest()))
        await eventually(lambda: completions(entries))

    line = completed(entries)
    assert ("info", "INVALID_ARGUMENT", refusal.info.reason, refusal.decision_id) == (
        line["log_level"],
        line["grpc_code"],
        line["error_reason"],
        line["decision_id"],
    )


async def test_cause_that_the_caller_is_not_told_is_in_the_line(service: RpcService) -> None:
    """What a fixed text hides from the caller is there for the operator."""
    service.backend.failure = BackendUnavailableError("10.0.0.7 refused", retry_after_s=1.0)

    with capture_logs() as entries:
        await refusal_of(service.routing.SelectRoute(user_says("a refund")))
        await eventually(lambda: completions(entries))

    line = completed(entries)
    assert ("warning", "10.0.0.7 refused") == (line["log_level"], line["error_cause"])


async def test_unknown_exception_is_logged_with_its_traceback(service: RpcService) -> None:
    """The exception nobody expected is in the log under the decision id that the caller got."""
    crash = RuntimeError("boom")
    service.backend.crash = crash

    with capture_logs() as entries:
        refusal = await refusal_of(service.routing.SelectRoute(user_says("a refund")))
        await eventually(lambda: completions(entries))

    (failed,) = [one for one in entries if one["event"] == "rpc_failed"]
    assert ("error", refusal.decision_id, crash) == (failed["log_level"], failed["decision_id"], failed["exc_info"])
    assert ("error", "RuntimeError") == (completed(entries)["log_level"], completed(entries)["error_cause"])


async def test_batch_gets_one_line_with_its_counts(service: RpcService) -> None:
    """A batch is one line that counts its items, and tells the first reason why one of them failed."""
    batch = v1.BatchSelectRoutesRequest(requests=[user_says("a refund"), v1.SelectRouteRequest()])

    with capture_logs() as entries:
        await service.routing.BatchSelectRoutes(batch)

    line = completed(entries)
    assert ("OK", 2, 1, "ERROR_REASON_REQUEST_INVALID") == (
        line["grpc_code"],
        line["item_count"],
        line["failed_item_count"],
        line["error_reason"],
    )


async def test_caller_is_logged_by_name() -> None:
    """The line of an authenticated call names the holder of the token, never the token."""
    authenticator = Authenticator(Callers.from_text(f"{hashlib.sha256(b'router-token').hexdigest()} gateway route"))

    async with running_service(ServiceOptions(authenticator=authenticator)) as service:
        with capture_logs() as entries:
            await service.routing.SelectRoute(
                user_says("a refund"), metadata=(("authorization", "Bearer router-token"),)
            )

    assert "gateway" == completed(entries)["caller"]
    assert "router-token" not in repr(entries)


@pytest.mark.parametrize("traceparent", ["garbage", "00-xyz-b7ad6b7169203331-01"])
async def test_malformed_trace_context_is_left_out(service: RpcService, traceparent: str) -> None:
    """A trace context that is none does not reach the log."""
    with capture_logs() as entries:
        await service.routing.SelectRoute(user_says("a refund"), metadata=(("traceparent", traceparent),))

    assert "trace_id" not in completed(entries)


async def test_calls_and_decisions_are_counted(service: RpcService) -> None:
    """Each call counts by its code, each decision by its outcome, and nothing stays in flight."""
    await service.routing.SelectRoute(user_says("a refund"))
    await service.routing.SelectRoute(user_says("zzz"))
    await refusal_of(service.routing.SelectRoute(v1.SelectRouteRequest()))
    await eventually(lambda: service.metric("archrouter_rpc_in_flight_requests") == 0)

    def requests(code: str) -> float | None:
        return service.metric("archrouter_rpc_requests_total", **SELECT_ROUTE, grpc_code=code)

    def decisions(outcome: str) -> float | None:
        return service.metric("archrouter_decisions_total", policy_set="support", outcome=outcome)

    assert (2, 1, 0) == (requests("OK"), requests("INVALID_ARGUMENT"), requests("INTERNAL"))
    assert (1, 1, 0) == (decisions("matched"), decisions("no_match"), decisions("low_confidence"))
    assert 3 == service.metric("archrouter_rpc_duration_seconds_count", **SELECT_ROUTE)
    assert 2 == service.metric("archrouter_decision_confidence_ratio_count", policy_set="support")
    assert 2 == service.metric("archrouter_prompt_tokens_count")
    assert 2 == service.metric("archrouter_stage_duration_seconds_count", stage="inference")
    assert 0 == service.metric("archrouter_stage_duration_seconds_count", stage="queue")
    assert 0 == service.metric("archrouter_rpc_in_flight_requests")


async def test_call_in_flight_is_visible(service: RpcService) -> None:
    """A call that waits for the model is counted as in flight."""
    service.backend.gate.clear()
    call = service.routing.SelectRoute(user_says("a refund"))
    await service.backend.waiting.wait()

    in_flight = service.metric("archrouter_rpc_in_flight_requests")
    service.backend.gate.set()
    await call

    assert 1 == in_flight


async def test_probes_are_neither_logged_nor_counted(service: RpcService) -> None:
    """Health checks pass the pipeline untouched: they leave no line and no series."""
    check: aio.UnaryUnaryMultiCallable[bytes, bytes] = service.channel.unary_unary("/grpc.health.v1.Health/Check")

    with capture_logs() as entries:
        await check(b"")

    assert [] == entries
    assert 0 == service.metric("archrouter_rpc_requests_total", **SELECT_ROUTE, grpc_code="OK")


async def test_metrics_see_the_outcome_of_every_step() -> None:
    """A call that is refused by authentication is counted and logged like any other."""
    authenticator = Authenticator(Callers.from_text(f"{hashlib.sha256(b'router-token').hexdigest()} gateway route"))

    async with running_service(ServiceOptions(authenticator=authenticator)) as service:
        with capture_logs() as entries:
            await refusal_of(service.routing.SelectRoute(user_says("a refund")))
            await eventually(lambda: completions(entries))
        counted = service.metric("archrouter_rpc_requests_total", **SELECT_ROUTE, grpc_code="UNAUTHENTICATED")

    assert 1 == counted
    assert "ERROR_REASON_CREDENTIALS_INVALID" == completed(entries)["error_reason"]
