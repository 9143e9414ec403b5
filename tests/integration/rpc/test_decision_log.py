"""What calls leave in the decision log."""

import errno
from pathlib import Path

import pytest
from tests.support.logged_decisions import HeldFile, Tallies
from tests.support.rpc_service import ServiceOptions, refusal_of, running_service, user_says

from archrouter import v1
from archrouter.decision_log.log import DecisionLog, open_decision_log
from archrouter.decision_log.reader import read_decisions
from archrouter.decision_log.record import DecisionRecord


async def test_every_decision_is_logged_and_no_failure_is(tmp_path: Path) -> None:
    """Those of a batch each by itself; a call that was refused made no decision."""
    path = tmp_path / "decisions.jsonl"
    log = open_decision_log(
        path, salt_file=None, text="none", max_bytes=1 << 20, kept_files=1, queue_size=10, count=Tallies()
    )
    async with running_service(ServiceOptions(decision_log=log)) as service:
        one = user_says("a refund")
        one.correlation_id = "order-1"
        single = await service.routing.SelectRoute(one)
        batch = await service.routing.BatchSelectRoutes(
            v1.BatchSelectRoutesRequest(requests=[user_says("thanks"), user_says("x" * 9999), user_says("a crash")])
        )
        await refusal_of(service.routing.SelectRoute(user_says("")))
    log.close()

    answered = [single.decision, *(one.response.decision for one in batch.results if one.HasField("response"))]
    logged = [one for one in read_decisions(path) if isinstance(one, DecisionRecord)]
    assert sorted(one.decision_id for one in answered) == sorted(one.decision_id for one in logged)
    assert ["order-1", "", ""] == [one.correlation_id for one in logged]
    assert [""] * 3 == [one.caller for one in logged]


@pytest.mark.parametrize("disk", ["full", "hangs"])
async def test_no_call_suffers_from_the_disk_of_the_log(disk: str, tmp_path: Path) -> None:
    """Whatever the disk does, calls are answered, within the deadline of an impatient caller."""
    file, tallies = HeldFile(tmp_path / "decisions.jsonl"), Tallies()
    file.failure = OSError(errno.ENOSPC, "No space left on device") if disk == "full" else None
    if disk == "hangs":
        file.open.clear()
    log = DecisionLog(file, b"", text="none", queue_size=5 if disk == "hangs" else 100, count=tallies)
    async with running_service(ServiceOptions(decision_log=log)) as service:
        for _ in range(20):
            await service.routing.SelectRoute(user_says("a refund"), timeout=2)
    file.open.set()
    log.close()

    assert 20 == sum(tallies.counts.values())
    assert 14 <= tallies.counts["write_failed" if disk == "full" else "queue_full"] <= 20


def test_the_page_explains_every_field(root: Path) -> None:
    """A reader needs no look at the code."""
    table = (root / "docs" / "decision_log.md").read_text("utf-8").split("## A line")[1]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]

    assert list(DecisionRecord.model_fields) == [name.strip(" `") for row in rows for name in row.split(",")]
