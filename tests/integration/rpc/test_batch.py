"""BatchSelectRoutes over the wire."""

import asyncio

from google.rpc import error_details_pb2
from grpc import StatusCode
from structlog.testing import capture_logs
from tests.support.rpc_service import (
    RpcService,
    ServiceOptions,
    eventually,
    read_status,
    refusal_of,
    running_service,
    user_says,
)

from archrouter import v1
from archrouter.application.router import RequestLimits
from archrouter.config import RoutingSettings, ServerSettings
from archrouter.rpc.routing_servicer import MAX_LOGGED_ITEMS


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


async def test_failed_batch_item_tells_its_decision_id(service: RpcService) -> None:
    """The status of a failed item names the decision that failed, as the trailing metadata of a single call does."""
    items = [user_says("a refund"), v1.SelectRouteRequest(), v1.SelectRouteRequest()]

    with capture_logs() as entries:
        call = service.routing.BatchSelectRoutes(v1.BatchSelectRoutesRequest(requests=items))
        results = (await call).results

    ids = [results[0].response.decision.decision_id]
    for result in results[1:]:
        _, request_info = read_status(result.error).further
        assert isinstance(request_info, error_details_pb2.RequestInfo)
        ids.append(request_info.request_id)
    assert 3 == len(set(ids))
    (line,) = [entry for entry in entries if entry["event"] == "rpc_completed"]
    outcomes = ["matched", "ERROR_REASON_REQUEST_INVALID", "ERROR_REASON_REQUEST_INVALID"]
    assert [f"{one} {outcome}" for one, outcome in zip(ids, outcomes, strict=True)] == line["items"]


async def test_batch_item_with_unknown_exception_hides_its_text(service: RpcService) -> None:
    """An unexpected exception in one item is INTERNAL for that item only, without its text."""
    service.backend.crash = RuntimeError("password=hunter2")

    (result,) = (
        await service.routing.BatchSelectRoutes(v1.BatchSelectRoutesRequest(requests=[user_says("a")]))
    ).results

    refusal = read_status(result.error)
    assert (StatusCode.INTERNAL, "ERROR_REASON_INTERNAL") == refusal.summary[:2]
    assert "the server failed; report the decision id to its operator" == refusal.message


async def test_batch_items_are_decided_at_the_same_time() -> None:
    """Where there is room no item waits for another: all reach the model before the first is answered."""
    server = ServerSettings(listen="127.0.0.1:0", latency_tolerance=0)

    async with running_service(ServiceOptions(server=server)) as service:
        service.backend.gate.clear()
        call = service.routing.BatchSelectRoutes(batch_of(8))
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


async def test_log_line_of_a_batch_is_bounded() -> None:
    """However large a batch is, its log line names a bounded number of items, and still counts all of them."""
    limits = RequestLimits(max_messages=1, max_message_characters=100, max_batch_size=200, max_inline_routes=1)
    batch = v1.BatchSelectRoutesRequest(requests=[v1.SelectRouteRequest()] * 200)

    async with running_service(ServiceOptions(limits=limits)) as service:
        with capture_logs() as entries:
            await service.routing.BatchSelectRoutes(batch)

    (line,) = [entry for entry in entries if entry["event"] == "rpc_completed"]
    assert isinstance(line["items"], list)
    assert (MAX_LOGGED_ITEMS, 200) == (len(line["items"]), line["item_count"])


FOUR_PLACES = ServerSettings(listen="127.0.0.1:0", max_concurrent_calls=4, latency_tolerance=0)


def batch_of(count: int) -> v1.BatchSelectRoutesRequest:
    """Build a batch."""
    return v1.BatchSelectRoutesRequest(requests=[user_says("a refund")] * count)


async def test_a_full_batch_enters_while_calls_are_answered_and_leaves_them_places() -> None:
    """A batch that is larger than all places needs no idle server; its items take three of four places at a time."""
    async with running_service(ServiceOptions(server=FOUR_PLACES)) as service:
        service.backend.gate.clear()
        batch = service.routing.BatchSelectRoutes(batch_of(8))
        await eventually(lambda: len(service.backend.timeouts_s) == 3)
        call = service.routing.SelectRoute(user_says("a refund"))
        await eventually(lambda: len(service.backend.timeouts_s) == 4)
        refusal = await refusal_of(service.routing.SelectRoute(user_says("a refund")))
        service.backend.gate.set()
        results = (await batch).results
        response = await call

    assert (StatusCode.RESOURCE_EXHAUSTED, "ERROR_REASON_OVERLOADED", {}) == refusal.summary
    assert 8 == len(results)
    assert all(result.HasField("response") for result in results)
    assert "billing" == response.decision.route_id


async def test_batches_count_their_items() -> None:
    """While batches have as many items to decide as there are places, a further one is refused at once."""
    async with running_service(ServiceOptions(server=FOUR_PLACES)) as service:
        service.backend.gate.clear()
        first, second = (service.routing.BatchSelectRoutes(batch_of(count)) for count in (3, 1))
        await eventually(lambda: len(service.backend.timeouts_s) == 3)
        refusal = await refusal_of(service.routing.BatchSelectRoutes(batch_of(1)))
        service.backend.gate.set()
        await asyncio.gather(first, second)
        third = await service.routing.BatchSelectRoutes(batch_of(1))

    assert (StatusCode.RESOURCE_EXHAUSTED, "ERROR_REASON_OVERLOADED", {}) == refusal.summary
    assert ["google.rpc.RetryInfo"] == [detail.DESCRIPTOR.full_name for detail in refusal.further]
    assert 1 == len(third.results)
