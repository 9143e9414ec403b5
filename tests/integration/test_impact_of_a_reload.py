"""What `archrouter impact` and the shadow say of new policies is what they do once they serve; over a real Triton."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner
from tests.support.service_runs import SMALL_POLICIES, Caller, service_in_process

from archrouter import v1
from archrouter.bundles.builder import REFERENCE_MODEL
from archrouter.bundles.loader import PromptBundle
from archrouter.cli import cli
from archrouter.config import (
    DecisionLogSettings,
    LimitsSettings,
    PoliciesSettings,
    RoutingSettings,
    ServerSettings,
    Settings,
    ShadowSettings,
    TritonSettings,
)
from archrouter.decision_log.reader import read_decisions
from archrouter.decision_log.record import DecisionRecord
from archrouter.suites.requests import request_messages
from archrouter.workbench.statistics import wilson_interval
from archrouter.workbench.traffic import Turn, read_turns

PATIENCE_S = 60.0
"""Nothing here is about time; the machine may be busy with other things."""

CHANGES = {
    "min_confidence: 0.45": "min_confidence: 0.8",
    "min_confidence: 0.4\n": "min_confidence: 0.75\n",
    "Refactoring of working code that should behave the same afterwards": "Any code, new, broken or working, e.g.",
}
"""Thresholds of two sets, and a route of the third that now wants what others' is."""

Json = dict[str, Any]


def write_policies(root: Path, folder: Path, changes: dict[str, str]) -> Path:
    """Copy the sample policies, changed."""
    folder.mkdir(exist_ok=True)
    for file in (root / "examples" / "policies").glob("*.yaml"):
        text = file.read_text("utf-8")
        for before, after in changes.items():
            text = text.replace(before, after)
        (folder / file.name).write_text(text, "utf-8")
    return folder


@pytest.fixture
def old(root: Path, tmp_path: Path) -> Path:
    """Give the folder that is served."""
    return write_policies(root, tmp_path / "old", {})


@pytest.fixture
def new(root: Path, tmp_path: Path) -> Path:
    """Give the folder that is to be served."""
    return write_policies(root, tmp_path / "new", CHANGES)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Name the decision log."""
    return tmp_path / "decisions.jsonl"


@pytest_asyncio.fixture
async def service(triton_endpoint: str, old: Path, new: Path, log: Path, tmp_path: Path) -> AsyncIterator[Caller]:
    """Serve the old policies, with the new ones as their shadow."""
    settings = Settings(
        server=ServerSettings(listen="127.0.0.1:0", drain_delay_s=0.0),
        policies=PoliciesSettings(directory=str(old), inline_enabled=True, watch_enabled=False),
        limits=LimitsSettings(max_inline_routes=512),
        routing=RoutingSettings(default_deadline_s=PATIENCE_S, max_budget_s=PATIENCE_S),
        triton=TritonSettings(endpoint=triton_endpoint, probe_timeout_s=PATIENCE_S),
        shadow=ShadowSettings(policies_directory=str(new), timeout_s=PATIENCE_S),
        decision_log=DecisionLogSettings(path=str(log), text="text"),
    )
    async with service_in_process(settings, tmp_path / "service") as running:
        yield running


async def routes_of(caller: Caller, turns: Sequence[Turn]) -> list[str]:
    """Route turns, one after the other, and list the routes."""
    stub: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(caller.channel)
    found = []
    for turn in turns:
        request = v1.SelectRouteRequest(policy_set=turn.policy_set_id, messages=request_messages(turn.messages))
        found.append((await stub.SelectRoute(request, timeout=PATIENCE_S)).decision.route_id)
    return found


async def logged(log: Path, count: int) -> list[DecisionRecord]:
    """Wait until the log has so many decisions."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = [one for one in read_decisions(log) if isinstance(one, DecisionRecord)] if log.exists() else []
            if len(found) >= count:
                return found
            await asyncio.sleep(0.05)


async def impact(old: Path, new: Path, log: Path, *arguments: str) -> Json:
    """Run ``archrouter impact`` on a log."""
    command = ["impact", str(old), str(new), "--log", str(log), "--json", *arguments]
    result = await asyncio.to_thread(CliRunner().invoke, cli, command)
    assert 0 == result.exit_code, result.output
    document: Json = json.loads(result.stdout)
    return document


def change(before: Sequence[str], after: Sequence[str]) -> int:
    """Count the routes that differ."""
    return sum(one != other for one, other in zip(before, after, strict=True))


async def test_a_reload_changes_the_share_of_routes_that_was_predicted(
    service: Caller, root: Path, old: Path, new: Path, log: Path, tmp_path: Path
) -> None:
    """Of the logged traffic exactly; of other traffic within the interval.

    By the log alone, which has what the shadow decided, as by routing its text again.
    """
    turns = read_turns(root / "examples" / "policies")
    first, second = turns[::2], turns[1::2]
    before = []
    for turn in first:  # one after the other: what shares a run with another has other last digits (ADR 0026)
        before += await routes_of(service, [turn])
        await logged(log, len(before))
    traffic = Path(shutil.copy(log, tmp_path / "first.jsonl"))
    before_second = await routes_of(service, second)
    target = json.loads((tmp_path / "service" / "ready").read_text("utf-8"))["listen"]

    by_shadow = await impact(old, new, traffic)
    by_routing = await impact(old, new, traffic, "--target", target, "--concurrency", "1")
    write_policies(root, old, CHANGES)
    policies: v1.PolicyServiceAsyncStub = v1.PolicyServiceStub(service.channel)
    await policies.ReloadPolicySets(v1.ReloadPolicySetsRequest())
    after, after_second = await routes_of(service, first), await routes_of(service, second)

    predicted = by_routing["changed_route"]
    assert 0 < predicted["count"] < len(first)
    assert (predicted, {}) == (by_shadow["changed_route"], by_shadow["unknown"])
    assert (len(first), predicted["count"]) == (by_routing["turn_count"], change(before, after))
    unseen = wilson_interval(change(before_second, after_second), len(second))
    assert unseen is not None
    assert predicted["interval"][0] <= unseen[1]
    assert unseen[0] <= predicted["interval"][1]
    assert all(line.shadow is None for line in (await logged(log, 2 * len(turns)))[len(turns) :])  # nothing differs now


async def test_a_broken_file_of_the_shadow_keeps_nothing_from_serving(
    triton_endpoint: str, old: Path, new: Path, log: Path, tmp_path: Path
) -> None:
    """The service starts, answers, and decides again by what can be used; the file counts when it is mended."""
    broken = new / "llm-gateway.yaml"
    text = broken.read_text("utf-8")
    broken.write_text("policy_set: llm-gateway\n", "utf-8")
    settings = Settings(
        server=ServerSettings(listen="127.0.0.1:0", drain_delay_s=0.0),
        policies=PoliciesSettings(directory=str(old), watch_interval_s=0.1),
        triton=TritonSettings(endpoint=triton_endpoint, probe_timeout_s=PATIENCE_S),
        shadow=ShadowSettings(policies_directory=str(new), timeout_s=PATIENCE_S),
        decision_log=DecisionLogSettings(path=str(log)),
    )
    async with service_in_process(settings, tmp_path / "service") as service:
        await service.select_route(timeout_s=PATIENCE_S)
        (first,) = await logged(log, 1)
        broken.write_text(text, "utf-8")
        async with asyncio.timeout(PATIENCE_S):
            while (await logged(log, 1))[-1].shadow is None:
                await service.select_route(timeout_s=PATIENCE_S)

    assert first.shadow is None


@pytest.mark.parametrize("is_there", [True, False])
async def test_another_tier_decides_beside_the_one_that_serves(
    triton_endpoint: str, engine_endpoint: str, bundle: PromptBundle, log: Path, tmp_path: Path, *, is_there: bool
) -> None:
    """The language model of another Triton; one that does not answer keeps no caller and no start waiting."""
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "small.yaml").write_text(SMALL_POLICIES, "utf-8")
    settings = Settings(
        server=ServerSettings(listen="127.0.0.1:0", drain_delay_s=0.0),
        policies=PoliciesSettings(directory=str(policies)),
        triton=TritonSettings(
            endpoint=engine_endpoint if is_there else "127.0.0.1:1",
            engine_model=REFERENCE_MODEL,
            bundle_directory=str(bundle.directory),
            compact_endpoint=triton_endpoint,
            probe_timeout_s=PATIENCE_S,
        ),
        shadow=ShadowSettings(tier="engine", timeout_s=PATIENCE_S if is_there else 1.0),
        decision_log=DecisionLogSettings(path=str(log)),
    )
    async with service_in_process(settings, tmp_path / "service") as service, asyncio.timeout(PATIENCE_S):
        await service.select_route(timeout_s=PATIENCE_S)
        while is_there and (await logged(log, 1))[-1].shadow is None:  # until the engine is warm
            await service.select_route(timeout_s=PATIENCE_S)
        line = (await logged(log, 1))[-1]

    assert "compact" == line.tier
    if is_there:
        assert line.shadow is not None
        assert ("engine", bundle.profile.model_version) == (line.shadow.tier, line.shadow.model_version)
        assert line.policy_set_revision == line.shadow.policy_set_revision
    else:
        assert line.shadow is None
