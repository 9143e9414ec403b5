"""Policy sets that travel with a request: what they may cost, over the wire."""

import asyncio
import threading
import time
from collections.abc import Awaitable
from typing import TypeVar

import pytest
from grpc import StatusCode
from tests.support.rpc_service import RpcService, ServiceOptions, read_status, refusal_of, running_service, user_says

from archrouter import v1
from archrouter.application.router import RequestLimits
from archrouter.config import PoliciesSettings
from archrouter.domain.findings import Finding
from archrouter.domain.policy import PolicySet
from archrouter.rpc import routing_servicer
from archrouter.rpc.convert.policies import checked_policy_set_from_proto

INLINE = PoliciesSettings(default="support", inline_enabled=True)
EMPTY_FALLBACK_ENTRY = b"\x22\x00"  # field 4, length 0
FREE_S = 0.5  # the defect that these tests keep away held the loop for seconds

ResultT = TypeVar("ResultT")


async def longest_pause_during(awaitable: Awaitable[ResultT]) -> tuple[ResultT, float]:
    """Wait for something, and measure for how long the event loop, which is the server's, stood still at most.

    In processor time of its thread, so that nothing else on this machine counts.
    """
    task = asyncio.ensure_future(awaitable)
    longest_s, before_s = 0.0, time.thread_time()
    while not task.done():
        await asyncio.sleep(0)
        now_s = time.thread_time()
        longest_s, before_s = max(longest_s, now_s - before_s), now_s
    return task.result(), longest_s


def with_inline_set(description: str, *, route_count: int = 1) -> v1.SelectRouteRequest:
    """Build a request that carries a valid policy set."""
    request = user_says("what is the weather")
    for index in range(route_count):
        route = request.inline_policy_set.routes.add(id=f"route_{index}", description=description)
        route.models.add(model="m/sky").parameters["temperature"] = 0
    request.inline_policy_set.fallback_models.add(model="m/general")
    return request


async def test_huge_inline_set_is_refused_before_any_work_where_disabled(service: RpcService) -> None:
    """Two million empty entries cost a server nothing that takes no inline policy sets."""
    request = user_says("hello")
    request.inline_policy_set.MergeFromString(EMPTY_FALLBACK_ENTRY * 2_000_000)

    refusal, pause_s = await longest_pause_during(refusal_of(service.routing.SelectRoute(request)))

    assert (StatusCode.FAILED_PRECONDITION, "ERROR_REASON_INLINE_POLICY_DISABLED") == refusal.summary[:2]
    assert pause_s < FREE_S


async def test_inline_set_with_too_many_models_is_refused_before_any_work() -> None:
    """Two million empty entries are counted and not read."""
    request = user_says("hello")
    request.inline_policy_set.MergeFromString(EMPTY_FALLBACK_ENTRY * 2_000_000)

    async with running_service(ServiceOptions(policies=INLINE)) as service:
        refusal, pause_s = await longest_pause_during(refusal_of(service.routing.SelectRoute(request)))

    expected = {"field": "inline_policy_set.fallback_models", "violationCount": "1"}
    assert (StatusCode.INVALID_ARGUMENT, "ERROR_REASON_POLICY_SET_INVALID", expected) == refusal.summary
    assert pause_s < FREE_S


async def test_large_inline_set_is_read_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other calls go on while a large policy set is being read."""
    limits = RequestLimits(max_messages=8, max_message_characters=1000, max_batch_size=8, max_inline_routes=256)
    threads: list[int] = []

    def read(message: v1.PolicySet) -> tuple[PolicySet | None, tuple[Finding, ...]]:
        threads.append(threading.get_ident())
        return checked_policy_set_from_proto(message)

    monkeypatch.setattr(routing_servicer, "checked_policy_set_from_proto", read)
    async with running_service(ServiceOptions(policies=INLINE, limits=limits)) as service:
        await service.routing.SelectRoute(with_inline_set("x" * 200, route_count=256))

    assert 1 == len(threads)
    assert threading.get_ident() not in threads


async def test_equal_inline_sets_of_a_batch_are_read_once() -> None:
    """The items of a batch that carry the same policy set share one, and the others have their own."""
    same, other = with_inline_set("the weather"), with_inline_set("the tides")

    async with running_service(ServiceOptions(policies=INLINE)) as service:
        batch = v1.BatchSelectRoutesRequest(requests=[same, other, same, same])
        results = (await service.routing.BatchSelectRoutes(batch)).results

    assert ["response"] * 4 == [result.WhichOneof("result") for result in results]
    assert 2 == len({id(policy_set) for policy_set in service.backend.policy_sets})


async def test_broken_inline_set_fails_its_own_items_only() -> None:
    """A policy set that breaks a rule is the failure of the items that carry it."""
    good, broken = with_inline_set("the weather"), with_inline_set("the weather")
    broken.inline_policy_set.ClearField("fallback_models")

    async with running_service(ServiceOptions(policies=INLINE)) as service:
        batch = v1.BatchSelectRoutesRequest(requests=[broken, good, broken])
        results = (await service.routing.BatchSelectRoutes(batch)).results

    assert ["error", "response", "error"] == [result.WhichOneof("result") for result in results]
    assert "inline_policy_set.fallback_models" == read_status(results[2].error).info.metadata["field"]


async def test_inline_set_with_too_many_routes_names_the_setting() -> None:
    """The number of inline routes is bounded by configuration, and the answer uses the field's path in the proto."""
    async with running_service(ServiceOptions(policies=INLINE)) as service:
        refusal = await refusal_of(service.routing.SelectRoute(with_inline_set("the weather", route_count=5)))

    expected = {"field": "inline_policy_set.routes", "violationCount": "1"}
    assert (StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID", expected) == refusal.summary
    assert "limits.max_inline_routes" in refusal.message
