"""``archrouter import``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from archrouter.cli import cli
from archrouter.cli.exits import EXIT_FAILED, EXIT_USAGE
from archrouter.policy_files.policies import load_policy_set


def _import(*arguments: Path | str) -> Result:
    return CliRunner().invoke(cli, ["import", *map(str, arguments)])


@pytest.fixture
def router(root: Path) -> Path:
    """Return a LiteLLM configuration of six routes."""
    return root / "examples" / "import" / "router.json"


@pytest.mark.parametrize(
    "name",
    [
        "gateway_v0_1.yaml",
        "gateway_v0_4.yaml",
        "semantic_router.json",
        "semantic_router.yaml",
        "vllm_rules.yaml",
        "vllm_v0_3.yaml",
    ],
)
def test_import_writes_what_check_accepts(root: Path, tmp_path: Path, name: str) -> None:
    """Of every format comes a file without errors; values that were not understood are shown nowhere."""
    output = tmp_path / "policies" / "set.yaml"

    result = _import(
        root / "tests" / "data" / "foreign" / name, "--output", output, "--suite", tmp_path / "a_test.yaml"
    )

    assert (0, "") == (result.exit_code, result.stdout)
    assert 0 == CliRunner().invoke(cli, ["check", str(output)]).exit_code
    assert "planted" not in (result.stderr + output.read_text()).lower()


def test_import_prints_the_policy_file_and_the_report_apart(router: Path) -> None:
    """Without --output the policy file is the result on standard output, and the report stands beside it."""
    result = _import(router, "--policy-set", "chat")

    policy_set, findings = load_policy_set(result.stdout)
    assert policy_set is not None
    assert ("chat", 6, ()) == (policy_set.id, len(policy_set.routes), findings)
    assert "routes[].score_threshold (6)" in result.stderr
    assert "litellm: 6 routes, 0 cases; 8 facts left out, 6 facts derived, 1 facts assumed" in result.stderr


def test_import_writes_set_and_suite_that_check_holds_together(router: Path, tmp_path: Path) -> None:
    """The suite names the set's routes, and holds utterances that are no examples."""
    output, suite = tmp_path / "chat.yaml", tmp_path / "chat_test.yaml"

    result = _import(router, "--output", output, "--suite", suite)

    assert 0 == result.exit_code
    assert 18 == suite.read_text().count("- name:")
    check = CliRunner().invoke(cli, ["check", "--strict", str(tmp_path)])
    assert (0, "") == (check.exit_code, check.stdout)


def test_import_reports_in_json(router: Path, tmp_path: Path) -> None:
    """One document with every note, and the policy file where it was written nowhere else."""
    alone = json.loads(_import(router, "--json").stdout)
    written = json.loads(_import(router, "--json", "--output", tmp_path / "chat.yaml").stdout)

    assert ("litellm", 6, 0) == (alone["format"], alone["route_count"], alone["case_count"])
    assert {"kind": "left out", "place": "encoder_name", "text": "the service has a model of its own"} in alone["notes"]
    assert (tmp_path / "chat.yaml").read_text() == alone.pop("policy_file")
    assert alone == written


@pytest.mark.parametrize("option", ["--output", "--suite"])
def test_import_replaces_files_only_by_force(router: Path, tmp_path: Path, option: str) -> None:
    """A policy file that somebody has worked on is not lost to a second import."""
    path = tmp_path / "chat_test.yaml"
    path.write_text("mine")

    refused = _import(router, option, path)

    assert (EXIT_USAGE, "mine") == (refused.exit_code, path.read_text())
    assert f"{path} exists; choose another name, or replace it with --force" in refused.stderr
    assert 0 == _import(router, option, path, "--force").exit_code
    assert path.read_text().startswith("# ")


def test_import_takes_names_as_the_format_on_the_command_line_says(router: Path) -> None:
    """The two formats of one shape are told apart by names that look like models; --format overrules it."""
    record = json.loads(_import(router, "--json", "--format", "semantic-router", "--model", "a/b").stdout)

    policy_set = load_policy_set(record["policy_file"])[0]
    assert policy_set is not None
    assert ("openai/gpt-4.1-mini", "a/b") == (policy_set.routes[0].id, policy_set.routes[0].models[0].model)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["--suite", "chat.yaml"], EXIT_USAGE, "chat.yaml does not end with _test.yaml"),
        (["--format", "vllm"], EXIT_USAGE, "router.json: decisions is empty; there is no route to import"),
        (["--policy-set", "My Set"], EXIT_FAILED, "policy_set: 'My Set' is not a valid name; use 1-64 of"),
        (["--model", ""], EXIT_USAGE, "a model's name is empty; name the model that callers should use"),
        (["--output", "router.json/chat.yaml"], EXIT_USAGE, "router.json/chat.yaml cannot be written"),
    ],
)
def test_import_says_what_is_wrong(
    router: Path, tmp_path: Path, arguments: list[str], exit_code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that cannot be carried out names the option's value and the remedy, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    Path("router.json").write_text(router.read_text())

    result = _import("router.json", *arguments)

    assert exit_code == result.exit_code
    assert message in " ".join(result.stderr.split())
    assert ["router.json"] == [path.name for path in tmp_path.iterdir()]
