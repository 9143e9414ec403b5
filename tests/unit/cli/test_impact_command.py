"""``archrouter impact`` against a real server, and on decision logs."""

import asyncio
import json
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result
from tests.support.logged_traffic import coloured_set, records, utterances, write_log
from tests.support.routing_services import ScriptedService, matched, refused, serving

from archrouter import v1
from archrouter.cli import cli
from archrouter.domain.policy import PolicySet

POLICIES = """\
policy_set: support
models: {{small: {{model: m/small}}, big: {{model: m/big}}}}
fallback: [small]
routes:
  - {{id: refund, description: Asks for a refund of money already paid, models: [small]}}
  - {{id: parcel, description: {parcel}, models: [{model}]}}
"""
PRICES = """\
currency: EUR
models:
  models/refund: {input: 2, output: 10}
  models/parcel: {input: 4, output: 20}
"""
RECORD = {
    "id": "talk-1",
    "policy_set": "support",
    "messages": [
        {"role": "user", "content": "money back"},
        {"role": "assistant", "content": "sure"},
        {"role": "user", "content": "<b>where</b> is my box"},
    ],
    "labels": [{"turn": 0, "route": "refund"}, {"turn": 2, "route": "parcel"}],
}
REQUEST = {"model": "auto", "messages": [{"role": "user", "content": "and my box?"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write the same set before and after a change, and traffic."""
    (tmp_path / "old.yaml").write_text(POLICIES.format(parcel="Asks where a parcel is now", model="small"))
    (tmp_path / "new.yaml").write_text(POLICIES.format(parcel="Asks about boxes and parcels sent", model="big"))
    (tmp_path / "traffic.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (RECORD, REQUEST)))
    (tmp_path / "prices.yaml").write_text(PRICES)
    return tmp_path


def _answer(request: v1.SelectRouteRequest) -> v1.Decision:
    """Send boxes to the parcel route once its description speaks of them."""
    new = "boxes" in request.inline_policy_set.routes[1].description
    decision = matched("parcel" if new and "box" in request.messages[-1].content else "refund")
    decision.usage.prompt_token_count = 1_000
    return decision


def _impact(folder: Path, *arguments: str, service: ScriptedService | None = None) -> Result:
    policies = [str(folder / "old.yaml"), str(folder / "new.yaml")]
    if service is None:
        return CliRunner().invoke(cli, ["impact", *policies, *arguments])
    with serving(service) as target:
        return CliRunner().invoke(cli, ["impact", *policies, "--target", target, *arguments])


def test_impact_counts_changed_turns_and_their_price(folder: Path) -> None:
    """Every labelled turn and every request is routed by both sets; what changes is counted, with its price."""
    arguments = ["--conversations", str(folder / "traffic.jsonl"), "--prices", str(folder / "prices.yaml"), "--json"]

    result = _impact(folder, *arguments, "--output-tokens", "100", service=ScriptedService(_answer))

    document = json.loads(result.stdout)
    assert (0, 3, 2) == (result.exit_code, document["turn_count"], document["changed_route"]["count"])
    assert [0.2077, 0.9385] == [round(end, 4) for end in document["changed_model"]["interval"]]
    assert ("refund", "parcel", 2) == tuple(document["routes"][0][key] for key in ("before", "after", "count"))
    assert (3 * 0.003, 0.003 + 2 * 0.006) == pytest.approx((document["price"]["before"], document["price"]["after"]))
    assert ["<b>where</b> is my box", "and my box?"] == [turn["text"] for turn in document["telling"]]


def test_impact_report_escapes_what_it_shows(folder: Path) -> None:
    """The page names the changes, and text of a conversation is text there."""
    page = folder / "impact.html"

    result = _impact(
        folder,
        *("--conversations", str(folder / "traffic.jsonl"), "--report", str(page)),
        service=ScriptedService(_answer),
    )

    assert (0, "66.7 %") == (result.exit_code, "66.7 %" if "66.7 %" in result.stdout else "")
    html = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;where&lt;/b&gt; is my box" in html
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html


def test_impact_counts_calls_that_failed(folder: Path) -> None:
    """A turn that one of the sets could not decide is not compared, and the reason is named."""

    def fail_on_new(request: v1.SelectRouteRequest) -> v1.Decision:
        if "boxes" in request.inline_policy_set.routes[1].description and len(request.messages) == 1:
            raise refused(grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID")
        return _answer(request)

    arguments = ["--conversations", str(folder / "traffic.jsonl"), "--json"]
    document = json.loads(_impact(folder, *arguments, service=ScriptedService(fail_on_new)).stdout)

    assert (1, {"failed with ERROR_REASON_REQUEST_INVALID": 2}) == (document["turn_count"], document["unknown"])


def _policy_text(policy_set: PolicySet, min_confidence: float) -> str:
    routes = "".join(
        f"  - {{id: {route.id}, domain: {route.domain}, {f'action: {route.action}, ' if route.action else ''}"
        f"description: {route.description}, models: [{'b' if route.action else 'c'}]}}\n"
        for route in policy_set.routes
    )
    models = "models: {a: {model: m/fallback}, b: {model: m/a}, c: {model: m/domain}}"
    return f"policy_set: {policy_set.id}\n{models}\nfallback: [a]\nmin_confidence: {min_confidence}\nroutes:\n{routes}"


def test_impact_on_a_hashed_log_needs_no_service(tmp_path: Path) -> None:
    """A log without text shows what a threshold would change, what was decided, and what it cannot tell."""
    old = coloured_set(min_confidence=0.5)
    log = write_log(tmp_path / "decisions.jsonl", asyncio.run(records(old, utterances(100))))
    (tmp_path / "old.yaml").write_text(_policy_text(old, 0.5))
    (tmp_path / "new.yaml").write_text(_policy_text(old, 0.9))

    document = json.loads(_impact(tmp_path, "--log", str(log), "--json").stdout)

    assert 100 == document["turn_count"] + sum(document["unknown"].values())
    assert 0 < document["changed_route"]["count"]
    assert {"matched", "no_match"} <= document["decided"]["outcome"].keys()
    assert [""] * 12 == [turn["text"] for turn in document["telling"]]


def test_impact_routes_the_text_that_a_log_keeps(folder: Path) -> None:
    """With a service the conversations of the log are routed by both sets, whatever revision decided them."""
    policy_set = coloured_set("support")
    lines = [*asyncio.run(records(policy_set, ["a box"], "text")), *asyncio.run(records(policy_set, ["a box"]))]
    log = write_log(folder / "decisions.jsonl", lines)

    result = _impact(folder, "--log", str(log), "--json", service=ScriptedService(_answer))

    document = json.loads(result.stdout)
    assert (1, 1) == (document["turn_count"], document["changed_route"]["count"])
    assert {"whose text the log does not keep": 1} == document["unknown"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "say which traffic"),
        (["--conversations", "{folder}/traffic.jsonl"], "choose a service"),
        (["--log", "{folder}/none.jsonl"], "there is no decision log"),
        (["--log", "{folder}/prices.yaml"], "holds no decision"),
    ],
)
def test_impact_says_what_it_needs(folder: Path, arguments: list[str], problem: str) -> None:
    """Without traffic, or without what routes it, the command ends as a usage error that says so."""
    result = _impact(folder, *(argument.format(folder=folder) for argument in arguments))

    assert (2, True) == (result.exit_code, problem in result.stderr)


def test_impact_refuses_a_price_below_0(folder: Path) -> None:
    """The file of prices is read strictly, with the place of what is wrong."""
    (folder / "prices.yaml").write_text("models:\n  m/a: {input: -1, output: 2}\n")

    result = _impact(folder, "--log", str(folder / "traffic.jsonl"), "--prices", str(folder / "prices.yaml"))

    assert 2 == result.exit_code
    assert 'prices.yaml:2:16: error: models["m/a"].input: -1.0 is below 0' in result.stderr
