"""``archrouter doctor policies`` against a real server with a tier that counts words."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result
from tests.support.chat_endpoint import Asked, Reply, chat_endpoint, completion
from tests.support.routing_services import Answer, ScriptedService, matched, refused, serving
from tests.support.word_tier import decide_by_words

from archrouter import v1
from archrouter.cli import cli
from archrouter.policy_files.policies import load_policy_set

SICK = Path(__file__).parents[2] / "data" / "doctor"
CURES = {
    "on its lorry": "on its lorry or with its courier",
    "with a label": "with a label, for shoes",
    "prepaid credit": "prepaid credit of a giftcard",
    "Profile matters": "Profile and password matters",
}
PLANTED = {
    ("CONFUSED_PAIR", ("orders_packing", "orders_transport")): (4, 10),
    ("CONFUSED_PAIR", ("money_refund", "money_return")): (4, 10),
    ("NEVER_WINS", ("vouchers_balance",)): (4, 4),
    ("LOSES_TO_NO_MATCH", ("account",)): (4, 4),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the set with the planted defects, and work in its folder."""
    for name in ("shop.yaml", "shop_test.yaml"):
        shutil.copy(SICK / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _visit(folder: Path, *arguments: str, answer: Answer = decide_by_words) -> Result:
    with serving(ScriptedService(answer)) as target:
        return CliRunner().invoke(cli, ["doctor", "policies", str(folder), "--target", target, *arguments])


def _findings(result: Result) -> dict[tuple[str, tuple[str, ...]], tuple[int, int]]:
    (seen,) = json.loads(result.stdout)["policy_sets"]
    return {
        (each["kind"], tuple(each["routes"])): (each["evidence_count"], each["case_count"]) for each in seen["findings"]
    }


def test_every_planted_defect_is_found(folder: Path) -> None:
    """Both overlaps, the dead route and the losing catch-all are named with their counts, and nothing else is."""
    result = _visit(folder, "--json")

    assert 1 == result.exit_code
    assert PLANTED == _findings(result)


def test_healthy_twin_has_no_finding(folder: Path) -> None:
    """The same set with the words that its users use gives exit code 0."""
    text = (folder / "shop.yaml").read_text(encoding="utf-8")
    for sick, healthy in CURES.items():
        text = text.replace(sick, healthy)
    (folder / "shop.yaml").write_text(text, encoding="utf-8")

    result = _visit(folder, "--json")

    assert {} == _findings(result)
    assert 0 == result.exit_code


def test_table_shows_the_conversations(folder: Path) -> None:
    """People read of each finding how many conversations show it, and some of them."""
    result = _visit(folder)

    assert "confused pair" in result.stdout
    assert "4 of 10" in result.stdout
    assert "the courier had my order all day → orders_packing, not orders_transport" in " ".join(result.stdout.split())


def test_proposal_is_a_diff_that_heals(folder: Path) -> None:
    """The diff applies, the set with it has no finding, and conversations beside the suite go right as well."""
    before = (folder / "shop.yaml").read_bytes()

    result = _visit(folder, "--propose", "wording.diff", "--json")

    assert before == (folder / "shop.yaml").read_bytes()
    (seen,) = json.loads(result.stdout)["policy_sets"]
    assert all(each["right_after"] >= each["right_before"] + 2 for each in seen["proposals"])
    subprocess.run(["git", "apply", "wording.diff"], check=True, cwd=folder)  # noqa: S607  # git is on the path
    assert {} == _findings(_visit(folder, "--json"))
    assert "# nobody calls it so" in (folder / "shop.yaml").read_text(encoding="utf-8")
    assert ["orders_transport", "money_return", "vouchers_balance", "account"] == [
        _winner(folder, text)
        for text in (
            "order is with another courier",
            "money back for muddy shoes",
            "top up a giftcard",
            "change my password",
        )
    ]


def _winner(folder: Path, text: str) -> str:
    policy_set, _ = load_policy_set((folder / "shop.yaml").read_text(encoding="utf-8"))
    assert policy_set is not None
    routes = [
        v1.RoutePolicy(id=each.id, description=each.description, examples=each.examples) for each in policy_set.routes
    ]
    message = v1.Message(role=v1.Role.ROLE_USER, content=text)
    request = v1.SelectRouteRequest(messages=[message], inline_policy_set=v1.PolicySet(routes=routes))
    return decide_by_words(request).route_id


def test_report_shows_findings_and_the_diff(folder: Path) -> None:
    """The page has what the table has, and the wording to review."""
    _visit(folder, "--propose", "wording.diff", "--report", "wording.html")

    html = (folder / "wording.html").read_text(encoding="utf-8")
    for part in ("loses to no match", "the courier had my order all day", "29 suite", "+        description: "):
        assert part in html


def test_drafted_conversations_carry_their_origin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are routed like the others, and every report says that a model wrote them, none shows the key."""
    monkeypatch.setenv("SOME_KEY", "sk-of-the-test")
    keys: set[str] = set()

    def answer(asked: Asked) -> Reply:
        keys.add(asked.authorization)
        texts = [["my parcel with the <b>courier</b>"], ["the courier has it"], ["courier, and the order?"]]
        return completion(json.dumps({"conversations": texts}))

    with chat_endpoint(answer) as url:
        options = (
            "--draft-url",
            url,
            "--draft-model",
            "writer",
            "--draft-key-env",
            "SOME_KEY",
            "--report",
            "page.html",
        )
        result = _visit(folder, *options, "--json")
        table = _visit(folder, *options)

    document, html = json.loads(result.stdout), (folder / "page.html").read_text(encoding="utf-8")
    (seen,) = document["policy_sets"]
    assert ("writer at 127.0.0.1", 18) == (document["drafted_by"], seen["sources"]["drafted"])
    drafted = [one for each in seen["findings"] for one in each["conversations"] if one["source"] == "drafted"]
    assert drafted
    assert "drafted" in table.stdout
    assert "were written by writer at 127.0.0.1" in html
    assert "<b>courier" not in html
    assert {"Bearer sk-of-the-test"} == keys
    assert "sk-of-the-test" not in result.output + table.output + html


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--draft-url", "https://api.example/v1"], "--draft-url and --draft-model belong together"),
        (["--draft-url", "https://h/v1", "--draft-model", "m", "--draft-key-env", "NO_SUCH"], "NO_SUCH is not set"),
        (["--draft-url", "ftp://h/v1", "--draft-model", "m"], "is no address of an endpoint"),
    ],
)
def test_incomplete_endpoint_is_a_usage_error(folder: Path, options: list[str], problem: str) -> None:
    """What is missing of the endpoint that drafts is named before anything is routed."""
    result = _visit(folder, *options)

    assert (2, True) == (result.exit_code, problem in result.stderr)


def test_no_diff_without_a_better_wording(folder: Path) -> None:
    """A tier that no wording moves gives no file, and an older one does not stay behind."""
    (folder / "wording.diff").write_text("old", encoding="utf-8")

    result = _visit(folder, "--propose", "wording.diff", answer=lambda _: matched("account"))

    assert "no better wording among" in result.stderr
    assert not (folder / "wording.diff").exists()


def test_route_that_takes_everything_is_named(folder: Path) -> None:
    """A route that wins conversations of every other route and neutral ones of every topic catches others'."""

    def greedy(request: v1.SelectRouteRequest) -> v1.Decision:
        decision = decide_by_words(request)
        return decision if decision.route_id in {"orders_packing", "money_refund"} else matched("account")

    found = _findings(_visit(folder, "--json", answer=greedy))

    assert ("CATCHES_OTHERS", ("account",)) in found


def test_longer_description_that_does_worse_is_named(folder: Path) -> None:
    """A description whose second clause takes others' words does better without it."""
    path = folder / "shop.yaml"
    longer = path.read_text(encoding="utf-8").replace(
        "State of an order, packed or not", "Everything packed before dispatch, also a courier's order"
    )
    path.write_text(longer, encoding="utf-8")

    assert ("SHORTER_IS_BETTER", ("orders_packing",)) in _findings(_visit(folder, "--json"))


def test_example_is_asked_without_itself(folder: Path) -> None:
    """An example proves nothing while the route shows it: it is taken out of the set that is asked."""
    path = folder / "shop.yaml"
    first = "packed or not\n"
    examples = "        examples: [zebra crossing, zebra stripes, lonely word]\n"
    path.write_text(path.read_text(encoding="utf-8").replace(first, first + examples), encoding="utf-8")
    asked: dict[str, list[str]] = {}

    def answer(request: v1.SelectRouteRequest) -> v1.Decision:
        examples = [text for route in request.inline_policy_set.routes for text in route.examples]
        asked[request.messages[-1].content] = examples
        return decide_by_words(request)

    _visit(folder, answer=answer)

    assert ["zebra stripes", "lonely word"] == asked["zebra crossing"]
    assert ["zebra crossing", "zebra stripes", "lonely word"] == asked["I forgot my password"]


def test_own_neutral_requests(folder: Path) -> None:
    """A file of requests takes the place of the built-in ones."""
    (folder / "neutral.txt").write_text("# zoo\nfeed the lions\n", encoding="utf-8")

    document: dict[str, Any] = json.loads(_visit(folder, "--neutral", "neutral.txt", "--json").stdout)

    assert 29 + 1 == document["policy_sets"][0]["case_count"]


def test_thin_evidence_is_said(folder: Path) -> None:
    """Of a route without conversations nothing is found; its author is told that it was not examined."""
    (folder / "shop_test.yaml").unlink()

    result = _visit(folder)

    assert 0 == result.exit_code
    assert "too few conversations to judge orders_packing, orders_transport" in result.stderr


def test_failed_call_ends_the_visit(folder: Path) -> None:
    """No diagnosis is made from what is left when calls fail: the reason and its remedy are said."""

    def refuse(_request: v1.SelectRouteRequest) -> v1.Decision:
        raise refused(grpc.StatusCode.FAILED_PRECONDITION, "ERROR_REASON_INLINE_POLICY_DISABLED")

    result = _visit(folder, answer=refuse)

    assert 1 == result.exit_code
    assert "--policies-inline-enabled" in result.stderr


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("shop.yaml", "policy_set: shop\n", "shop.yaml:1:1: error"),
        ("shop_test.yaml", "policy_set: shop\n", "shop_test.yaml:1:1: error"),
    ],
)
def test_broken_file_is_a_usage_error(folder: Path, name: str, text: str, problem: str) -> None:
    """A file that cannot be used has exit code 2 and its findings."""
    (folder / name).write_text(text, encoding="utf-8")

    result = _visit(folder)

    assert 2 == result.exit_code
    assert problem in result.stderr


def test_unknown_policy_set_is_a_usage_error(folder: Path) -> None:
    """A set that the folder does not have is named."""
    result = _visit(folder, "--policy-set", "shoop")

    assert 2 == result.exit_code
    assert "no policy set shoop" in result.stderr


def test_unreachable_service_has_exit_code_3(folder: Path) -> None:
    """A service that does not answer ends the command at once."""
    with serving(ScriptedService(decide_by_words)) as target:
        pass  # the port is free again

    result = CliRunner().invoke(cli, ["doctor", "policies", str(folder), "--target", target])

    assert 3 == result.exit_code
