"""One decision enters the files that docs/architecture.md names, in that order, and no other of ours."""

import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType

import pytest_asyncio
from grpc import aio
from tests.support.service_runs import service_in_process

from archrouter import v1
from archrouter.app.service import _Service
from archrouter.config import PoliciesSettings, ServerSettings, Settings, TritonSettings

SERVICE = Path(_Service.run.__code__.co_filename).parents[1]
STUBS = Path(v1.__file__).parent
REQUEST = v1.SelectRouteRequest(
    messages=[v1.Message(role=v1.Role.ROLE_USER, content="my python script crashes, please fix it")]
)
FRENCH = v1.SelectRouteRequest(
    messages=[v1.Message(role=v1.Role.ROLE_USER, content="mon script plante, peux-tu le corriger ?")]
)


@pytest_asyncio.fixture
async def channel(triton_endpoint: str, root: Path, tmp_path: Path) -> AsyncIterator[aio.Channel]:
    """Run the whole service in this process, over a real Triton, and give a channel to it."""
    settings = Settings(
        server=ServerSettings(listen="127.0.0.1:0", drain_delay_s=0.0),
        # Neither watch may look, at policies or at the endpoint, while the call is traced.
        policies=PoliciesSettings(
            directory=str(root / "examples" / "policies"), default="llm-gateway", watch_enabled=False
        ),
        triton=TritonSettings(endpoint=triton_endpoint, health_interval_s=60.0),
    )
    async with service_in_process(settings, tmp_path) as running:
        yield running.channel


def files_in_the_page(root: Path) -> list[str]:
    """Read the numbered list of the page's section on one request."""
    page = (root / "docs" / "architecture.md").read_text("utf-8")
    section = page.split("## One request")[1].split("\n## ")[0]
    return re.findall(r"^\d+\. `([a-z_/]+\.py)`", section, re.MULTILINE)


async def test_one_decision_enters_the_files_that_the_page_names(channel: aio.Channel, root: Path) -> None:
    """At most twelve, found by tracing a real call; generated stubs are nobody's to read."""
    entered: dict[str, None] = {}

    def trace(frame: FrameType, event: str, _argument: object) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(SERVICE) and not file.is_relative_to(STUBS):
            entered[file.relative_to(SERVICE).as_posix()] = None

    stub: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(channel)
    await stub.SelectRoute(REQUEST)  # what happens once does not count
    sys.setprofile(trace)
    try:
        await stub.SelectRoute(REQUEST)
    finally:
        sys.setprofile(None)

    assert files_in_the_page(root) == list(entered)
    assert len(entered) <= 12


async def test_the_compact_tier_reads_other_languages_than_english(channel: aio.Channel) -> None:
    """The committed model has an encoder for them, and routes in English beside it."""
    stub: v1.RoutingServiceAsyncStub = v1.RoutingServiceStub(channel)

    english, french = [(await stub.SelectRoute(request)).decision for request in (REQUEST, FRENCH)]

    assert english.route_id == french.route_id
    assert v1.Outcome.OUTCOME_MATCHED == french.outcome
