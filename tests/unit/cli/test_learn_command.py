"""``archrouter learn`` against a real server."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.support.routing_services import ScriptedService, matched, serving

from archrouter import v1
from archrouter.cli import cli

POLICIES = """\
policy_set: support
models: {small: {model: m/small}}
fallback: [small]
routes:
  - {id: refund, description: Asks for a refund of money already paid, models: [small]}
  - id: parcel
    description: Asks where a parcel is just now
    models: [small]
    not_examples:
      - hello   # no parcel
"""
SUITE = """\
policy_set: support
tests:
  - {name: money, messages: [{user: money back}], expect: {route: refund}}
"""
CORRECTION = {"messages": [{"role": "user", "content": "cash: please"}], "route": "refund", "chosen": "parcel"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a set, its suite and a correction."""
    (tmp_path / "support.yaml").write_text(POLICIES)
    (tmp_path / "support_test.yaml").write_text(SUITE)
    (tmp_path / "corrections.jsonl").write_text(json.dumps(CORRECTION) + "\n")
    return tmp_path


def _right(_request: v1.SelectRouteRequest) -> v1.Decision:
    return matched("refund")


def _worse(request: v1.SelectRouteRequest) -> v1.Decision:
    """Choose another route once there is an example."""
    return matched("parcel" if request.inline_policy_set.routes[0].examples else "refund")


def _learn(folder: Path, service: ScriptedService, *arguments: str) -> Result:
    files = ["--corrections", str(folder / "corrections.jsonl"), "--suites", str(folder)]
    with serving(service) as target:
        return CliRunner().invoke(cli, ["learn", str(folder), *files, "--target", target, *arguments])


def test_learn_writes_examples_that_do_no_harm(folder: Path) -> None:
    """The text becomes an example of the right route and none of the chosen one; learning it twice changes nothing."""
    result = _learn(folder, ScriptedService(_right), "--write")

    text = (folder / "support.yaml").read_text()
    assert (0, True) == (result.exit_code, "1 of 1 cases pass before, 1 after" in result.stderr)
    assert 'models: [small], examples: ["cash: please"]}' in text
    assert '    not_examples:\n      - hello   # no parcel\n      - "cash: please"\n' in text
    assert "+" in result.stdout
    again = _learn(folder, ScriptedService(_right), "--write")
    assert ("", text) == (again.stdout, (folder / "support.yaml").read_text())


def test_learn_refuses_what_makes_the_suites_worse(folder: Path) -> None:
    """Where a case no longer passes the file stays as it is and the exit code is 1."""
    result = _learn(folder, ScriptedService(_worse), "--write")

    assert (1, POLICIES) == (result.exit_code, (folder / "support.yaml").read_text())
    assert "the suites get worse" in result.stderr


@pytest.mark.parametrize(
    ("correction", "problem"),
    [
        (CORRECTION | {"route": "return"}, "correction 1: 'return' is no route of support"),
        (CORRECTION | {"policy_set": "else"}, "'else' is none of support"),
        (CORRECTION | {"messages": []}, "corrections.jsonl:1: messages: has no message of the user"),
        ({"route": "refund"}, "messages: is missing"),
    ],
)
def test_learn_names_the_correction_it_cannot_use(folder: Path, correction: dict[str, object], problem: str) -> None:
    """A correction is read strictly, and its error says which and why."""
    (folder / "corrections.jsonl").write_text(json.dumps(correction) + "\n")

    result = _learn(folder, ScriptedService(_right))

    assert (2, True) == (result.exit_code, problem in result.stderr)


def test_learn_leaves_out_what_has_no_room(folder: Path) -> None:
    """A text that is longer than an example may be is counted, not cut."""
    long = {"messages": [{"role": "user", "content": "x" * 501}], "route": "refund"}
    (folder / "corrections.jsonl").write_text(json.dumps(long) + "\n")

    result = _learn(folder, ScriptedService(_right))

    assert (0, True) == (result.exit_code, "1 texts were left out" in result.stderr)
