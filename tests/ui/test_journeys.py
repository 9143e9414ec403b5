"""What people do on the page, in a real Chromium over a real service."""

import re
import sys
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect
from tests.support.faulty_network import FaultyNetwork

pytestmark = pytest.mark.asyncio(loop_scope="session")

REFUND = "i want a refund for the broken kettle i paid for"
PARCEL = "where is my parcel right now?"
PATIENCE_MS = 60_000


async def say(page: Page, text: str, turn: int = 1) -> None:
    """Type a turn and see its decision."""
    await page.get_by_label(f"Text of turn {turn}").fill(text)
    await expect(page.locator("#decision .posterior")).to_be_visible()
    await expect(page.locator("#decision")).not_to_have_attribute("aria-busy", "true")


async def edit(page: Page, old: str, new: str) -> None:
    """Change the policy set as if it had been typed."""
    text = page.get_by_label("Policy set, YAML")
    await text.fill((await text.input_value()).replace(old, new))


async def test_types_a_conversation_and_sees_the_posterior(page: Page) -> None:
    """Bars stand under their domains with thresholds; outcome, models, reasons, time and versions stand beside."""
    await say(page, REFUND)

    decision = page.get_by_label("Decision", exact=True)
    await expect(decision.locator("strong")).to_have_text("billing_refund")
    await expect(decision).to_contain_text("MATCHED")
    await expect(decision).to_contain_text("m/large")
    await expect(decision).to_contain_text("THRESHOLD_OF_POLICY_SET")
    await expect(decision).to_contain_text("ms (reading")
    await expect(decision.get_by_title("model sha256:")).to_contain_text("compact")
    bars = page.get_by_role("table", name="Probability of each route")
    assert ["billing", "the whole domain", "refund", "delivery", "tracking", "no match"] == await bars.get_by_role(
        "rowheader"
    ).all_inner_texts()
    await expect(bars.get_by_role("row", name="refund").locator(".mark")).to_have_attribute("title", "threshold 20.0 %")


async def test_first_paint_is_told(page: Page) -> None:
    """The page shows something soon; how soon is printed, and other work on the machine of a test must not fail it."""
    entries = await page.evaluate("performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)")

    sys.stdout.write(f"first contentful paint after {entries[0]:.0f} ms\n")  # `make test-ui` shows it
    assert 0 < entries[0] < PATIENCE_MS


async def test_sees_findings_while_typing(page: Page) -> None:
    """An error has its line, leads there, and makes decisions wait; a vague description is a warning."""
    await say(page, REFUND)

    await edit(page, "models: [large]", "models: [lrge]")
    await expect(page.locator("#findings-title")).to_have_text("1 error")
    await expect(page.locator("#gutter .error")).to_have_text("10\n")
    await page.locator("#findings").get_by_role("button").click()
    await expect(page.get_by_label("Policy set, YAML")).to_be_focused()
    line = "(text) => text.value.slice(0, text.selectionStart).split('\\n').length"
    assert 10 == await page.locator("#policy").evaluate(line)

    await edit(page, "models: [lrge]", "models: [large]")
    await edit(page, "Where a parcel or delivery is right now", "Tracking")
    await expect(page.locator("#findings-title")).to_have_text("1 warning")
    await expect(page.locator("#findings")).to_contain_text("has 1 words")


async def test_writes_a_conversation_of_several_turns(page: Page) -> None:
    """Turns are added with alternating roles and removed; the latest one of the user decides."""
    await say(page, REFUND)
    await page.get_by_role("button", name="Add turn").click()
    await expect(page.get_by_label("Text of turn 2")).to_be_focused()
    await page.keyboard.type("Done, the money is on its way.")
    await page.get_by_role("button", name="Add turn").click()
    await page.keyboard.type(PARCEL)

    roles = page.locator("#turns select")
    assert ["user", "assistant", "user"] == [await roles.nth(turn).input_value() for turn in range(3)]
    await expect(page.locator("#decision strong")).to_have_text("delivery_tracking")

    await page.get_by_role("button", name="Remove turn 3").click()
    await expect(page.locator("#decision strong")).to_have_text("billing_refund")
    await page.get_by_role("button", name="Start over").click()
    await expect(page.locator("#decision")).to_contain_text("appears here as you type")


async def test_compares_two_descriptions(page: Page) -> None:
    """A is kept, B is changed: both decide the same conversation, and what differs is in words and in points."""
    await say(page, REFUND)
    await page.get_by_role("button", name="Keep as A").click()
    await edit(page, "Getting a refund of money that was paid", "Writing poems about the sea and the wind")

    differences = page.get_by_label("Differences")
    await expect(differences).to_contain_text("billing_refund, description")
    await expect(differences.locator("del").last).to_have_text("Getting a refund of money that was paid")
    await expect(page.get_by_label("Decision by A").locator("strong")).to_have_text("billing_refund")
    await expect(differences).to_contain_text("confidence")
    change = page.get_by_role("row", name="refund").get_by_role("cell").last
    await expect(change).to_contain_text("\N{MINUS SIGN}")

    await differences.get_by_role("button", name="Take A's text back").click()
    await expect(differences).to_contain_text("Both texts mean the same.")
    await page.get_by_role("button", name="Let go of A").click()
    await expect(page.get_by_label("Decision", exact=True)).to_be_visible()


async def test_runs_a_suite_and_opens_a_case_that_fails(page: Page) -> None:
    """The suite beside the file is at hand; it says what passes and what is taken for what; a case opens by a click."""
    await page.get_by_role("tab", name="Suite").click()
    await expect(page.locator("#suites")).to_have_value("desk_test.yaml")
    await page.get_by_role("button", name="Run").click()

    await expect(page.locator(".headline")).to_have_text("1 of 2 cases pass, 50.0 %")
    confusion = page.get_by_role("table", name="Confusion of routes")
    await expect(confusion.get_by_role("columnheader").nth(2)).to_have_text("delivery_tracking")
    assert ["billing_refund", "1", "1"] == await confusion.get_by_role("row").nth(1).get_by_role(
        "cell"
    ).all_inner_texts()

    await page.get_by_label("Cases that fail").get_by_role("button").click()
    await expect(page.get_by_label("Text of turn 1")).to_have_value(
        "where is my parcel right now? tracking does not move"
    )
    await expect(page.locator("#decision strong")).to_have_text("delivery_tracking")


async def test_brings_a_suite_of_its_own(page: Page, tmp_path: Path) -> None:
    """A file from anywhere runs, too; what cannot pass is said by line before anything is asked."""
    suite = tmp_path / "mine_test.yaml"
    case = f"- {{name: a, messages: [{{user: {REFUND}}}], expect: {{route: billing_refun}}}}"
    suite.write_text(f"policy_set: desk\ntests:\n  {case}\n", encoding="utf-8")
    await page.get_by_role("tab", name="Suite").click()
    await page.locator("#suite-file").set_input_files(suite)

    await expect(page.locator("#suite-result")).to_contain_text("3:")
    await expect(page.locator("#suite-result")).to_contain_text("did you mean 'billing_refund'?")


async def test_reads_the_results_of_doctor_and_impact(page: Page) -> None:
    """Both are shown in the page's look, their conversations open, and a page of a command is shown as it is."""
    await page.get_by_role("tab", name="Reports").click()
    content = page.locator("#report-content")

    await page.get_by_label("Report", exact=True).select_option("doctor.json")
    await expect(content.get_by_role("article").first).to_contain_text("won by")
    await expect(content.get_by_role("heading", level=3)).to_have_text("shop")
    await page.get_by_label("Report", exact=True).select_option("impact.html")
    await expect(page.frame_locator("iframe").get_by_role("heading", level=1)).to_have_text("Impact of new policies")
    await page.get_by_label("Report", exact=True).select_option("impact.json")
    await expect(content.locator(".figures")).to_contain_text("change model")
    await expect(content).to_contain_text("m/large")

    await content.get_by_role("button").first.click()
    await expect(page.get_by_label("Text of turn 1")).to_have_value(REFUND)


async def test_service_goes_away_and_comes_back(page: Page, network: FaultyNetwork) -> None:
    """The page says so, keeps what was written, and goes on by itself."""
    await say(page, REFUND)
    network.lose_packets()
    await page.get_by_label("Text of turn 1").fill(PARCEL)
    await expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    await expect(page.locator("#service")).to_contain_text("away")

    network.mend()
    await expect(page.get_by_role("alert")).to_be_hidden()
    await expect(page.locator("#decision strong")).to_have_text("delivery_tracking")


async def test_needs_no_mouse(page: Page) -> None:
    """Everything is reached and left by keys: no text field is a trap, focus is seen, and the keys are listed."""
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()

    await page.keyboard.press("e")
    await expect(page.get_by_label("Policy set, YAML")).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("tab", name="Conversation")).to_be_focused()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert "solid" == await page.evaluate(outline)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Text of turn 1")).to_be_focused()
    await page.keyboard.type(f"{REFUND} ke")
    await expect(page.locator("#decision strong")).to_have_text("billing_refund")

    await page.keyboard.press("Escape")
    await page.keyboard.press("k")
    await expect(page.get_by_role("button", name="Let go of A")).to_be_visible()
    await page.keyboard.press("2")
    await expect(page.get_by_role("tab", name="Suite")).to_be_focused()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".headline")).to_contain_text("1 of 2")
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("tabpanel", name="Reports")).to_be_visible()


async def test_keeps_the_work_over_a_reload(page: Page) -> None:
    """Loading again loses neither texts nor A; a set of the service opens, and the text before it comes back."""
    await say(page, REFUND)
    await page.get_by_role("button", name="Keep as A").click()
    await edit(page, "policy_set: desk", "policy_set: mine")
    await expect(page.get_by_label("Differences")).to_be_visible()

    await page.reload()
    await expect(page.get_by_label("Text of turn 1")).to_have_value(REFUND)
    await expect(page.get_by_label("Differences")).to_be_visible()

    await page.get_by_label("Open").first.select_option("sets/desk")
    await expect(page.get_by_label("Policy set, YAML")).to_have_value(re.compile("^# Written from what the service"))
    await page.get_by_role("button", name="Previous text").click()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download").click()
    assert "mine.yaml" == (await download.value).suggested_filename


async def test_text_is_never_markup(page: Page) -> None:
    """Names and messages that look like HTML are shown as they are written."""
    hostile = "<img src=x onerror=alert(1)>"
    await edit(page, "domain: billing", f"domain: '{hostile}'")
    await page.get_by_label("Text of turn 1").fill(f"{hostile} {REFUND}")

    await expect(page.get_by_role("rowheader", name=hostile, exact=True)).to_be_visible()
    assert 0 == await page.locator("img").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 380])
async def test_is_accessible(page: Page, scheme: Literal["light", "dark"], width: int) -> None:
    """Axe finds nothing serious in any part, in either scheme, wide or narrow; nothing sticks out sideways."""
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": width, "height": 800})
    await say(page, REFUND)
    await page.get_by_role("button", name="Keep as A").click()
    await edit(page, "Where a parcel or delivery is right now", "Tracking")
    await expect(page.get_by_label("Differences")).to_contain_text("delivery_tracking, description")
    seen = {"comparison": await serious(page)}
    await page.get_by_role("tab", name="Suite").click()
    await page.get_by_role("button", name="Run").click()
    await expect(page.locator(".headline")).to_be_visible()
    seen["suite"] = await serious(page)
    await page.get_by_role("tab", name="Reports").click()
    await page.get_by_label("Report", exact=True).select_option("impact.json")
    await expect(page.locator(".figures")).to_be_visible()
    seen["report"] = await serious(page)
    await page.get_by_role("button", name="Keys").click()
    seen["keys"] = await serious(page)

    assert {"comparison": [], "suite": [], "report": [], "keys": []} == seen
    assert width >= await page.evaluate("document.documentElement.scrollWidth")


async def serious(page: Page) -> list[str]:
    """List what axe finds serious or critical."""
    violations = (await Axe().run(page)).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in violations if one["impact"] in {"serious", "critical"}]
