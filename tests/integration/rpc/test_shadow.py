"""Decisions made again beside the calls of a real server, and that no call notices."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.support.logged_decisions import Tallies
from tests.support.rpc_service import SUPPORT, eventually, user_says
from tests.support.shadowed_service import (
    CODER,
    CRASH,
    MAGIC,
    OTHER_SETTINGS,
    OTHER_SUPPORT,
    REFUND,
    THANKS,
    ShadowedService,
    shadowed_service,
)

from archrouter import v1
from archrouter.app.shadow import QUEUE_SIZE, ROOM_INTERVAL_S
from archrouter.config import PoliciesSettings, ServerSettings, ShadowSettings
from archrouter.decision_log.log import DecisionLog, open_decision_log
from archrouter.decision_log.reader import read_decisions
from archrouter.decision_log.record import DecisionRecord
from archrouter.domain.errors import BackendUnavailableError
from archrouter.inference.fleet import Fleet

MESSAGES = (CODER, REFUND, CRASH, THANKS, MAGIC)


def opened(path: Path) -> DecisionLog:
    """Open a decision log."""
    return open_decision_log(
        path, salt_file=None, text="none", max_bytes=1 << 20, kept_files=1, queue_size=1000, count=Tallies()
    )


def logged(path: Path) -> list[DecisionRecord]:
    """Read a log all of whose lines are records."""
    found = list(read_decisions(path))
    records = [one for one in found if isinstance(one, DecisionRecord)]
    assert len(found) == len(records)
    return records


async def test_decisions_are_made_again_and_compared() -> None:
    """The other policies see the same question; route and first model tell how the second decision differs."""
    async with shadowed_service() as shadowed:
        for message in MESSAGES:
            await shadowed.service.routing.SelectRoute(user_says(message))
        found = await shadowed.settled(len(MESSAGES))

    assert {"agrees": 2, "other_model": 1, "other_route": 1, "other_route_and_model": 1} == found
    assert list(MESSAGES) == [one.conversation.messages[-1].content for one in shadowed.model.requests]
    assert {OTHER_SUPPORT.revision} == {one.revision for one in shadowed.model.policy_sets}


async def test_the_log_holds_both_decisions(tmp_path: Path) -> None:
    """One line for each call, with what the shadow decided; one that it was not asked about has none."""
    log = opened(tmp_path / "d.jsonl")
    async with shadowed_service(decision_log=log) as shadowed:
        answers = [await shadowed.service.routing.SelectRoute(user_says(message)) for message in MESSAGES]
        await shadowed.settled(len(MESSAGES))
        shadowed.shadow.close()
        answers.append(await shadowed.service.routing.SelectRoute(user_says(CODER)))
    log.close()

    lines = logged(tmp_path / "d.jsonl")
    assert [one.decision.decision_id for one in answers] == [line.decision_id for line in lines]
    assert ["programming", "billing", "programming", "", "programming_bug_fixing", None] == [
        line.shadow.route_id if line.shadow else None for line in lines
    ]
    models = [line.shadow.models[0] for line in lines if line.shadow]
    assert ["m/coder", "m/smaller", "m/coder", "m/general", "m/unused"] == models
    routes = [one.route_id for one in lines]
    assert ["programming", "billing", "programming_bug_fixing", "", "", "programming"] == routes


async def _ask(shadowed: ShadowedService, count: int) -> list[str]:
    """Ask many times, eight at a time, and list the chosen routes in the order of the questions."""
    places = asyncio.Semaphore(8)

    async def ask(index: int) -> str:
        async with places:
            answer = await shadowed.service.routing.SelectRoute(user_says(MESSAGES[index % len(MESSAGES)]), timeout=30)
            return str(answer.decision.route_id)

    return await asyncio.gather(*(ask(index) for index in range(count)))


@pytest.mark.parametrize("trouble", ["hangs", "is down", "crashes"])
async def test_no_call_notices_a_shadow_in_trouble(trouble: str, tmp_path: Path) -> None:
    """Under load each call is answered as without a shadow, none is refused, each has its line, and losses are counted.

    A shadow that hangs holds one call to its model, so all but what waits is let go at once.
    """
    log = opened(tmp_path / "d.jsonl")
    async with shadowed_service(decision_log=log) as shadowed:
        if trouble == "hangs":
            shadowed.model.gate.clear()
        elif trouble == "is down":
            shadowed.model.failure = BackendUnavailableError("down", retry_after_s=1)
        else:
            shadowed.model.crash = RuntimeError("not foreseen")
        with capture_logs() as events:
            routes = await _ask(shadowed, 200)
            found = await shadowed.settled(200 - QUEUE_SIZE if trouble == "hangs" else 200)
        in_trouble = len(shadowed.model.timeouts_s)
    log.close()

    assert ["programming", "billing", "programming_bug_fixing", "", ""] * 40 == routes
    assert 200.0 == shadowed.service.metric(
        "archrouter_rpc_requests_total",
        rpc_service="archrouter.v1.RoutingService",
        rpc_method="SelectRoute",
        grpc_code="OK",
    )
    assert 200 == len(logged(tmp_path / "d.jsonl"))
    if trouble == "hangs":
        assert ({"queue_full": 200 - QUEUE_SIZE}, 1) == (found, in_trouble)
    else:
        assert {"failed", "queue_full"} >= found.keys()
        assert 1 == [one["event"] for one in events].count("shadow_failed")


async def test_a_decision_that_comes_too_late_is_let_go() -> None:
    """The model's call is cancelled when the time is over, and the next decision has its turn."""
    async with shadowed_service(settings=OTHER_SETTINGS.model_copy(update={"timeout_s": 0.1})) as shadowed:
        shadowed.model.gate.clear()
        await shadowed.service.routing.SelectRoute(user_says(CODER))
        hung = await shadowed.settled(1)
        await shadowed.model.cancelled.wait()
        shadowed.model.gate.set()
        await shadowed.service.routing.SelectRoute(user_says(CODER))
        found = await shadowed.settled(2)

    assert {"late": 1} == hung
    assert {"late": 1, "agrees": 1} == found


async def test_the_shadow_waits_while_callers_need_the_places() -> None:
    """With more than half of the places taken nothing is decided again; then it is."""
    server = ServerSettings(listen="127.0.0.1:0", max_concurrent_calls=4, latency_tolerance=0)
    async with shadowed_service(server=server) as shadowed:
        service, gate = shadowed.service, shadowed.service.backend.gate
        gate.clear()
        held = [asyncio.ensure_future(service.routing.SelectRoute(user_says(CODER))) for _ in range(3)]
        await eventually(lambda: len(service.backend.timeouts_s) == 3)
        service.backend.gate = asyncio.Event()  # those that are held stay so
        service.backend.gate.set()
        await service.routing.SelectRoute(user_says(CODER))
        await asyncio.sleep(10 * ROOM_INTERVAL_S)
        while_busy = len(shadowed.model.requests)
        gate.set()
        await asyncio.gather(*held)
        found = await shadowed.settled(4)

    assert 0 == while_busy
    assert {"agrees": 4} == found


@pytest.mark.parametrize(
    ("settings", "same", "expected"),
    [
        (ShadowSettings(policies_directory="other"), True, {}),
        (ShadowSettings(tier="compact"), True, {"agrees": 1}),
        (ShadowSettings(tier="compact"), False, {}),
        (ShadowSettings(policies_directory="other", tier="compact"), True, {"agrees": 1}),
        (ShadowSettings(policies_directory="other", tier="compact"), False, {"other_model": 1}),
    ],
)
async def test_only_what_could_differ_is_decided_again(
    settings: ShadowSettings,
    same: bool,  # noqa: FBT001  # a case of the table
    expected: dict[str, int],
) -> None:
    """Another tier decides by the same policies unless it has others; the same tier by others only."""
    async with shadowed_service(SUPPORT if same else OTHER_SUPPORT, settings=settings) as shadowed:
        await shadowed.service.routing.SelectRoute(user_says(REFUND))
        await shadowed.settled(len(expected))

    assert expected == shadowed.counts()


async def test_a_set_that_travels_with_the_request_is_not_decided_again() -> None:
    """Nobody wrote another one for it, even where it has the name of one that is served."""
    inline = v1.PolicySet(
        name="policySets/support",
        routes=[v1.RoutePolicy(id="billing", description="an invoice", models=[v1.ModelTarget(model="m/small")])],
        fallback_models=[v1.ModelTarget(model="m/general")],
    )
    async with shadowed_service(policies=PoliciesSettings(default="support", inline_enabled=True)) as shadowed:
        request = user_says(REFUND)
        request.inline_policy_set.CopyFrom(inline)
        answer = await shadowed.service.routing.SelectRoute(request)
        await shadowed.service.routing.SelectRoute(user_says(CODER))
        found = await shadowed.settled(1)

    assert "billing" == answer.decision.route_id
    assert {"agrees": 1} == found


async def test_a_share_is_decided_again() -> None:
    """About so many as were asked for; each is picked by itself."""
    async with shadowed_service(settings=OTHER_SETTINGS.model_copy(update={"share": 0.25})) as shadowed:
        for _ in range(200):
            await shadowed.service.routing.SelectRoute(user_says(CODER))

    assert 20 <= sum(shadowed.counts().values()) <= 85  # five standard deviations


async def test_what_nobody_foresaw_ends_the_shadow_and_not_the_service(tmp_path: Path) -> None:
    """The log says what happened; later decisions go to the decision log at once."""

    class Broken(Fleet):
        def __init__(self) -> None:
            """Know no endpoints."""

        async def run(self) -> None:
            """Fail."""
            msg = "not foreseen"
            raise RuntimeError(msg)

    log = opened(tmp_path / "d.jsonl")
    async with shadowed_service(decision_log=log) as shadowed:
        shadowed.shadow.fleets = (Broken(),)
        with capture_logs() as events:
            await shadowed.shadow.run()
        answer = await shadowed.service.routing.SelectRoute(user_says(MAGIC))
    log.close()

    assert ["shadow_ended"] == [one["event"] for one in events if one["log_level"] == "error"]
    assert [answer.decision.decision_id] == [line.decision_id for line in logged(tmp_path / "d.jsonl")]
    assert {} == shadowed.counts()
