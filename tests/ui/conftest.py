"""One embedded service, one page over it and one Chromium for all journeys."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect
from tests.support.faulty_network import FaultyNetwork, faulty_network
from tests.support.page import served_page

from archrouter.cli import cli
from archrouter.cli.asking import SERVE_ARGUMENTS
from archrouter.cli.local_service import local_service
from archrouter.ui.folders import Folders

PATIENCE_MS = 60_000
"""A journey fails by what it does not see; how fast that comes is not its subject."""

# Chromium asks its maker's hosts for this and that; here it may resolve no name and has nothing to ask for.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
DESK = """\
policy_set: desk
min_confidence: 0.2
models: {small: {model: m/small}, large: {model: m/large}}
fallback: [small]
domains:
  - domain: billing
    description: Billing and invoices in general
    models: [small]
    actions:
      - {action: refund, description: Getting a refund of money that was paid, models: [large]}
  - domain: delivery
    actions:
      - {action: tracking, description: Where a parcel or delivery is right now, models: [small]}
"""
SUITE = """\
policy_set: desk
tests:
  - name: asks for money back
    messages: [{user: "i want a refund for the broken kettle i paid for"}]
    expect: {route: billing_refund}
  - name: is expected at the wrong place
    messages: [{user: "where is my parcel right now? tracking does not move"}]
    expect: {route: billing_refund}
"""
NEUTRAL = "# cooking\nhow long do i boil an egg\n# travel\nwhich train goes to the sea\n"


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of one policy file with its suite."""
    folder = tmp_path_factory.mktemp("policies")
    (folder / "desk.yaml").write_text(DESK, encoding="utf-8")
    (folder / "desk_test.yaml").write_text(SUITE, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def target(desk: Path) -> Iterator[str]:
    """Serve it with the compact tier in a real Triton; gives HOST:PORT."""
    with local_service(policies=desk, arguments=SERVE_ARGUMENTS) as target:
        yield target


@pytest.fixture(scope="session")
def reports(target: str, desk: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have the workbench's own commands write their reports."""
    folder, new, neutral = (tmp_path_factory.mktemp("reports") / name for name in ("all", "new.yaml", "neutral.txt"))
    folder.mkdir()
    new.write_text(DESK.replace("models: [large]", "models: [small]"), encoding="utf-8")
    neutral.write_text(NEUTRAL, encoding="utf-8")
    sick = root / "tests" / "data" / "doctor"  # of which the doctor is known to find something
    service = ("--target", target, "--json")
    doctor = CliRunner().invoke(cli, ["doctor", "policies", str(sick), "--neutral", str(neutral), *service])
    (folder / "doctor.json").write_text(doctor.stdout, encoding="utf-8")
    page = ("--report", str(folder / "impact.html"))
    impact = CliRunner().invoke(cli, ["impact", str(desk), str(new), "--conversations", str(desk), *page, *service])
    (folder / "impact.json").write_text(impact.stdout, encoding="utf-8")
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def network(target: str) -> AsyncIterator[FaultyNetwork]:
    """Put a network between page and service that a journey can take away."""
    async with faulty_network(target) as network:
        yield network


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def address(network: FaultyNetwork, desk: Path, reports: Path) -> AsyncIterator[str]:
    """Serve the page."""
    async with served_page(network.address, Folders(desk, reports)) as address:
        yield address


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Start the machine's own Chromium, without a window."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert found, "no Chromium: run .ci/browser, or name one with CHROMIUM=/path/to/chromium"
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, address: str) -> AsyncIterator[BrowserContext]:
    """Give a new profile; a request to anything but the page's own server fails the test, as does a script error."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    asked, errors = list[str](), list[str]()
    context.on("request", lambda request: asked.append(request.url))
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    await context.close()
    assert [] == [url for url in asked if not url.startswith((address, f"blob:{address}"))]
    assert [] == errors


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, address: str) -> Page:
    """Open the page: the folder's first file is there and checked."""
    page = await context.new_page()
    await page.goto(address)
    await expect(page.locator("#findings-title")).to_have_text("No findings")
    return page
