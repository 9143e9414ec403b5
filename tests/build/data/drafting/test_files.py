"""Policy files in, records out."""

import json
from pathlib import Path

import pytest
from data.drafting.errors import SetupError
from data.drafting.policy_sets import read_policy_set
from data.drafting.records import write_records
from data.folders import replaced_file
from data.record_files import policy_set_json

from archrouter.domain.policy import RoutePolicy
from archrouter.evaluation.dataset import PLACEHOLDER_MODEL

ROOT = Path(__file__).parents[4]


def test_policy_file_is_read_as_the_service_reads_it() -> None:
    """Ids, order and words are those the team will route by."""
    policy_set = read_policy_set(ROOT / "examples" / "policies" / "customer-support.yaml")

    assert "customer-support" == policy_set.id
    assert "orders" == policy_set.routes[0].id
    assert "orders_delivery_tracking" == policy_set.routes[1].id


def test_wrong_policy_file_is_refused_with_place_and_remedy(tmp_path: Path) -> None:
    """Every error is named with file, line and column."""
    path = tmp_path / "policies.yaml"
    path.write_text("policy_set: BAD NAME\nrouts: []\n", encoding="utf-8")

    with pytest.raises(SetupError) as raised:
        read_policy_set(path)

    lines = str(raised.value).splitlines()
    assert any(line.startswith(f"{path}:2:1: ") and "routs" in line for line in lines)
    assert any(line.startswith(f"{path}:1:13: ") for line in lines)


def test_route_without_domain_becomes_its_own_domain() -> None:
    """The format wants a domain for every route; a flat list of routes has none."""
    route = RoutePolicy("chat", "", "", "Small talk and chat", (PLACEHOLDER_MODEL,))
    document = json.loads(policy_set_json("flat", (route,)))

    assert {
        "policy_set": "flat",
        "routes": [{"name": "chat", "domain": "chat", "action": "", "description": "Small talk and chat"}],
    } == document


def test_files_are_replaced_as_a_whole(tmp_path: Path) -> None:
    """The old content is there until the new one is complete, and no part is left behind."""
    path = tmp_path / "file"
    for text in ("old", "new\u2028"):
        with replaced_file(path) as file:
            file.write(text)

    assert "new\u2028" == path.read_text(encoding="utf-8")
    assert [path] == list(tmp_path.iterdir())


def test_records_are_one_json_object_a_line(tmp_path: Path) -> None:
    """Line separators inside a text do not break a line in two, and other scripts stay readable."""
    write_records(tmp_path, "drafted", [{"id": "a\u2028\n漢"}, {"id": "b"}], [])

    lines = (tmp_path / "drafted.jsonl").read_text(encoding="utf-8").split("\n")
    assert [{"id": "a\u2028\n漢"}, {"id": "b"}] == [json.loads(line) for line in lines[:-1]]
    assert "漢" in lines[0]
