"""BatchSelectRoutes over the wire."""

import asyncio

from grpc import StatusCode
from rpc_service import RpcService, ServiceOptions, eventually, read_status, refusal_of, running_service, user_says

from archrouter import v1
from archrouter.config import RoutingSettings


async def test_batch_keeps_order_and_reports_each_item(service: RpcService) -> None:
    """Each result stands at the place of its request, a failed one with the status SelectRoute would have given."""
    unknown = user_says("a refund")
    unknown.policy_set = "policySets/absent"
    malformed = v1.SelectRouteRequest(messages=[v1.Message(content="hello")])
    labelled = user_says("please repair the crash")
    labelled.correlation_id = "third"
    batch = v1.BatchSelectRoutesRequest(requests=[user_says("a refund"), unknown, labelled, malformed])

    results = (await service.routing.BatchSelectRoutes(batch)).results

    assert ["response", "error", "response", "error"] == [result.WhichOneof("result") for result in results]
    assert "billing" == results[0].response.decision.route_id
    assert (
        StatusCode.NOT_FOUND,
        "ERROR_REASON_POLICY_SET_NOT_FOUND",
        {"policySet": "policySets/absent"},
    ) == read_status(results[1].error).summary
    assert ("programming_bug_fixing", "third") == (
        results[2].response.decision.route_id,
        results[2].response.correlation_id,
    )
    assert "messages[0].role" == read_status(results[3].error).info.metadata["field"]


async def test_batch_items_have_decision_ids_of_their_own(service: RpcService) -> None:
    """Neither two items nor an item and its call share a decision id."""
    call = service.routing.BatchSelectRoutes(v1.BatchSelectRoutesRequest(requests=[user_says("a refund")] * 3))

    ids = {result.response.decision.decision_id for result in (await call).results}

    assert 3 == len(ids)
    assert (await call.trailing_metadata())["archrouter-decision-id"] not in ids


async def test_batch_item_with_unknown_exception_hides_its_text(service: RpcService) -> None:
    """An unexpected exception in one item is INTERNAL for that item only, without its text."""
    service.backend.crash = RuntimeError("password=hunter2")

    (result,) = (
        await service.routing.BatchSelectRoutes(v1.BatchSelectRoutesRequest(requests=[user_says("a")]))
    ).results

    refusal = read_status(result.error)
    assert (StatusCode.INTERNAL, "ERROR_REASON_INTERNAL") == refusal.summary[:2]
    assert "the server failed; report the decision id to its operator" == refusal.message


async def test_batch_items_are_decided_at_the_same_time(service: RpcService) -> None:
    """No item waits for another: all of them reach the model before the first is answered."""
    service.backend.gate.clear()
    call = service.routing.BatchSelectRoutes(v1.BatchSelectRoutesRequest(requests=[user_says("a refund")] * 8))
    await eventually(lambda: len(service.backend.timeouts_s) == 8)
    service.backend.gate.set()

    response = await call

    assert 8 == len(response.results)


async def test_batch_items_share_the_deadline_of_the_call() -> None:
    """Each item may use what is left of the call's deadline, not a deadline of its own."""
    options = ServiceOptions(routing=RoutingSettings(default_deadline_s=2.0))

    async with running_service(options) as service:
        await service.routing.BatchSelectRoutes(v1.BatchSelectRoutesRequest(requests=[user_says("a refund")] * 4))

    assert 4 == len(service.backend.timeouts_s)
    assert all(1.0 < timeout_s <= 2.0 for timeout_s in service.backend.timeouts_s)


async def test_cancelled_batch_cancels_every_item(service: RpcService) -> None:
    """A caller that gives up stops the work on all items."""
    service.backend.gate.clear()
    call = service.routing.BatchSelectRoutes(v1.BatchSelectRoutesRequest(requests=[user_says("a refund")] * 2))
    await service.backend.waiting.wait()

    call.cancel()

    await asyncio.wait_for(service.backend.cancelled.wait(), timeout=5)


async def test_empty_batch_is_refused_as_a_whole(service: RpcService) -> None:
    """A batch without requests is INVALID_ARGUMENT."""
    refusal = await refusal_of(service.routing.BatchSelectRoutes(v1.BatchSelectRoutesRequest()))

    expected = {"field": "requests", "violationCount": "1"}
    assert (StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID", expected) == refusal.summary


async def test_too_large_batch_is_refused_as_a_whole(service: RpcService) -> None:
    """A batch beyond the limit is INVALID_ARGUMENT before any item is decided."""
    batch = v1.BatchSelectRoutesRequest(requests=[user_says("a refund")] * 9)

    refusal = await refusal_of(service.routing.BatchSelectRoutes(batch))

    assert (StatusCode.INVALID_ARGUMENT, "requests") == (refusal.code, refusal.info.metadata["field"])
    assert [] == service.backend.timeouts_s
