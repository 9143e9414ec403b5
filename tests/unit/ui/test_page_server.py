"""The page's server against a real gRPC server with a fake model: what it answers, and whom."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from tests.support.page import served_page
from tests.support.rpc_service import SUPPORT, ServiceOptions, running_service

from archrouter.config import PoliciesSettings
from archrouter.policy_files.policies import load_policy_set
from archrouter.ui.folders import Folders

TEXT = """\
policy_set: desk
min_confidence: 0.3
models: {small: {model: m/small}, large: {model: m/large}}
fallback: [small]
routes:
  - {id: refund, domain: billing, action: refund, description: Getting a refund of money that was paid, models: [large]}
  - {id: parcel, description: Where a parcel or delivery is, models: [small]}
"""
SUITE = """\
policy_set: desk
tests:
  - name: asks for money back
    messages: [{user: "i want a refund of the money"}]
    expect: {route: refund}
  - name: asks for the parcel
    messages: [{user: "where is my parcel delivery"}]
    expect: {route: refund}
"""


@dataclass(frozen=True)
class Page:
    """The page and who asks it."""

    address: str
    session: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Get a path; gives status and text."""
        async with self.session.get(self.address + path, headers=headers) as response:
            return response.status, await response.text()

    # Any: what JSON holds.
    async def post(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        """Ask as the page does; gives status and document."""
        headers = {"Origin": self.address.rstrip("/"), "Content-Type": "application/json"} | headers
        async with self.session.post(self.address + path, data=json.dumps(body), headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Give a folder of policies with a suite, one of reports, and something outside both."""
    for name, text in {"desk.yaml": TEXT, "desk_test.yaml": SUITE}.items():
        (tmp_path / "policies").mkdir(exist_ok=True)
        (tmp_path / "policies" / name).write_text(text, encoding="utf-8")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "impact.html").write_text("<p>72 %</p>", encoding="utf-8")
    (tmp_path / "reports" / "impact.json").write_text('{"turn_count": 3}', encoding="utf-8")
    (tmp_path / "secret.json").write_text("{}", encoding="utf-8")
    return Folders(tmp_path / "policies", tmp_path / "reports")


@pytest_asyncio.fixture
async def page(folders: Folders) -> AsyncIterator[Page]:
    """Serve the page over a service that takes inline policy sets."""
    options = ServiceOptions(policies=PoliciesSettings(default="support", inline_enabled=True))
    async with (
        running_service(options) as service,
        served_page(f"127.0.0.1:{service.port}", folders) as address,
        aiohttp.ClientSession() as session,
    ):
        yield Page(address, session)


async def test_files_of_the_page_forbid_everything_from_elsewhere(page: Page) -> None:
    """The page loads from itself alone and turns no text into markup; every file of it has its type and that policy."""
    _, html = await page.get("")

    for path in ["", *re.findall(r'(?:href|src)="/([^"]+)"', html)]:
        async with page.session.get(page.address + path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert 200 == response.status
            assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
            assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
            assert "nosniff" == response.headers["X-Content-Type-Options"]
            assert "same-origin" == response.headers["Cross-Origin-Resource-Policy"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", "evil.example:{port}"])
async def test_another_host_name_is_refused(page: Page, host: str) -> None:
    """A name that was made to resolve to this machine (DNS rebinding) gets nothing, not even the page."""
    port = page.address.rstrip("/").rpartition(":")[2]

    status, text = await page.get("", Host=host.format(port=port))

    assert 403 == status
    assert page.address in text


async def test_the_names_of_this_machine_are_served(page: Page) -> None:
    """Both ways to write the loopback address lead to the page."""
    port = page.address.rstrip("/").rpartition(":")[2]

    assert [200, 200] == [(await page.get("", Host=f"{name}:{port}"))[0] for name in ("127.0.0.1", "localhost")]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
async def test_requests_of_other_pages_are_refused(page: Page, headers: dict[str, str], expected: int) -> None:
    """Another page in the same browser can neither read nor ask, by a simple request or otherwise."""
    status, _ = await page.post("api/check", {"text": TEXT}, **headers)

    assert expected == status


async def test_service_and_files_are_listed(page: Page) -> None:
    """The page says which service it asks and offers that one's sets and the folders' files."""
    _, described = await page.get("api/service")
    _, names = await page.get("api/names")

    assert ["support"] == json.loads(described)["sets"]
    assert "TIER_COMPACT" == json.loads(described)["info"]["tier"]
    assert {
        "files": ["desk.yaml"],
        "suites": ["desk_test.yaml"],
        "reports": ["impact.html", "impact.json"],
    } == json.loads(names)


async def test_loaded_set_opens_as_a_policy_file(page: Page) -> None:
    """What the service has loaded reads back as the same revision."""
    status, text = await page.get("api/text/sets/support")

    assert 200 == status
    policy_set, findings = load_policy_set(text)
    assert () == findings
    assert policy_set is not None
    assert SUPPORT.revision == policy_set.revision


@pytest.mark.parametrize("name", ["..%2Fsecret.json", "%2Fetc%2Fpasswd", "none.json"])
async def test_no_name_leads_out_of_a_folder(page: Page, name: str) -> None:
    """Only files that are listed are read."""
    for path in (f"api/text/reports/{name}", f"reports/{name}"):
        assert 404 == (await page.get(path))[0]


async def test_report_page_is_shut_in(page: Page) -> None:
    """A report is another origin without scripts, which only the page may frame."""
    async with page.session.get(page.address + "reports/impact.html") as response:
        assert "<p>72 %</p>" == await response.text()
        assert response.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


async def test_errors_have_lines_and_valid_text_is_linted(page: Page) -> None:
    """The service's errors come with line and column; the words of a valid set are judged too."""
    _, broken = await page.post("api/check", {"text": TEXT.replace("models: [small]", "models: [smal]")})
    _, vague = await page.post("api/check", {"text": TEXT.replace("Where a parcel or delivery is", "Things")})

    assert [("error", 7)] == [(one["severity"], one["line"]) for one in broken["findings"]]
    assert not broken["valid"]
    assert vague["valid"]
    assert {("warning", 7)} == {(one["severity"], one["line"]) for one in vague["findings"]}
    assert ["refund", "parcel"] == [one["id"] for one in vague["policySet"]["routes"]]


async def test_conversation_is_routed_by_the_text(page: Page) -> None:
    """The text travels with the request: its routes, models and thresholds decide, and every candidate is told."""
    messages = [{"role": "user", "content": "i want a refund of the money"}]

    status, decision = await page.post("api/route", {"text": TEXT, "messages": messages})

    assert 200 == status
    assert ("OUTCOME_MATCHED", "refund") == (decision["outcome"], decision["routeId"])
    assert ["m/large"] == [one["model"] for one in decision["models"]]
    assert {"refund", "parcel", ""} == {one["routeId"] for one in decision["candidates"]}
    assert "DECISION_REASON_THRESHOLD_OF_POLICY_SET" in decision["reasons"]


async def test_suite_says_what_was_taken_for_what(page: Page) -> None:
    """Each case has its verdict, both routes and its conversation."""
    _, result = await page.post("api/suite", {"text": TEXT, "suite": SUITE})

    assert [("refund", "refund", True), ("refund", "parcel", False)] == [
        (case["route"], case["gotRoute"], case["passed"]) for case in result["cases"]
    ]
    assert [{"role": "user", "content": "where is my parcel delivery"}] == result["cases"][1]["messages"]


async def test_unusable_texts_are_refused_with_their_findings(page: Page) -> None:
    """A suite with an unknown route, and policies with an error, say what is wrong where."""
    status, suite = await page.post(
        "api/suite", {"text": TEXT, "suite": SUITE.replace("route: refund", "route: refnd")}
    )
    _, policies = await page.post("api/route", {"text": "policy_set: x", "messages": []})

    assert 422 == status
    assert [5, 8] == [one["line"] for one in suite["error"]["findings"]]
    assert policies["error"]["findings"]


@pytest.mark.parametrize(
    "body",
    [[], {"text": 3}, {"unknown": ""}, {"text": TEXT, "messages": [{"role": "wizard", "content": "x"}]}],
)
async def test_malformed_request_is_refused(page: Page, body: object) -> None:
    """What the page would never send is an error of the request, not of the server."""
    status, document = await page.post("api/route", body)

    assert 400 == status
    assert document["error"]["message"]


async def test_refusal_of_the_service_is_passed_on(folders: Folders) -> None:
    """A service that takes no inline policy sets says so, and is not away."""
    async with (
        running_service(ServiceOptions(policies=PoliciesSettings(default="support", inline_enabled=False))) as service,
        served_page(f"127.0.0.1:{service.port}", folders) as address,
        aiohttp.ClientSession() as session,
    ):
        asked = {"text": TEXT, "messages": [{"role": "user", "content": "hi"}]}
        status, document = await Page(address, session).post("api/route", asked)

    assert 502 == status
    assert "ERROR_REASON_INLINE_POLICY_DISABLED" == document["error"]["code"]
    assert not document["error"]["away"]


async def test_service_that_is_away_is_said_and_found_again(folders: Folders) -> None:
    """While nothing listens the page is told so; once something does, the next question is answered."""
    async with running_service() as service:
        port = service.port
    async with served_page(f"127.0.0.1:{port}", folders) as address, aiohttp.ClientSession() as session:
        page = Page(address, session)
        status, document = await page.post("api/check", {"text": TEXT})
        _, names = await page.get("api/names")

        assert (502, True) == (status, document["error"]["away"])
        assert ["desk.yaml"] == json.loads(names)["files"]
