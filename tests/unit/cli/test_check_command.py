"""``archrouter check``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from archrouter.cli import cli

POLICY_SET = """\
policy_set: support
models: {general: {model: m/general}}
fallback: [general]
routes:
  - {id: refund, description: Asks for a refund of money already paid, models: [general]}
  - {id: delivery, description: Asks where a delivery is and when it comes, models: [general]}
"""
SUITE = """\
policy_set: support
tests:
  - name: wants money back
    messages: [{user: give me my money back}]
    expect: {route: refund}
"""


def _write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def _check(*arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(cli, ["check", *arguments])
    return result.exit_code, result.stdout.splitlines()


def test_check_passes_for_good_files(tmp_path: Path) -> None:
    """Good policy files and suites give no finding and exit code 0."""
    _write(tmp_path, "support.yaml", POLICY_SET)
    _write(tmp_path, "support_test.yaml", SUITE)

    assert (0, []) == _check(str(tmp_path))


def test_check_prints_findings_as_compilers_do(tmp_path: Path) -> None:
    """A finding is one line: file, line, column, severity, path, message; an error makes the exit code 1."""
    file = _write(tmp_path, "support.yaml", POLICY_SET.replace("[general]}", "[generel]}", 1))

    code, lines = _check(str(file))

    assert 1 == code
    assert lines[0].startswith(f"{file}:5:")
    assert ": error: routes[0].models" in lines[0]


def test_check_fails_for_warnings_only_when_strict(tmp_path: Path) -> None:
    """What confuses a router is a warning; --strict turns it into a failure."""
    file = _write(tmp_path, "support.yaml", POLICY_SET.replace("Asks for a refund of money already paid", "refund"))

    code, lines = _check(str(file))
    strict_code, _ = _check("--strict", str(file))

    assert (0, 1) == (code, strict_code)
    assert ": warning: routes[0].description: has 1 words" in lines[0]


def test_check_finds_one_policy_set_in_two_files(tmp_path: Path) -> None:
    """Two files of a folder with the same policy set are an error, as they are for the service."""
    first = _write(tmp_path, "a.yaml", POLICY_SET)
    second = _write(tmp_path, "b.yaml", POLICY_SET)

    code, lines = _check(str(tmp_path))

    assert 1 == code
    expected = (
        f"{second}:1:13: error: policy_set: 'support' is already the policy set of {first}; give this one another name"
    )
    assert [expected] == lines


def test_check_finds_suite_cases_without_route(tmp_path: Path) -> None:
    """A suite that expects a route its policy set does not have is an error."""
    _write(tmp_path, "support.yaml", POLICY_SET)
    suite = _write(tmp_path, "support_test.yaml", SUITE.replace("refund", "refunds"))

    code, lines = _check(str(suite))

    assert 1 == code
    assert "did you mean 'refund'?" in lines[0]


def test_check_warns_of_suite_without_policy_set(tmp_path: Path) -> None:
    """A suite whose policy set is nowhere beside it cannot be compared, which is a warning."""
    suite = _write(tmp_path, "support_test.yaml", SUITE)

    code, lines = _check(str(suite))

    assert 0 == code
    assert ": warning: policy_set: no policy file beside the suite" in lines[0]


def test_check_json_is_one_document(tmp_path: Path) -> None:
    """With --json standard output is one document with every finding."""
    file = _write(tmp_path, "support.yaml", "policy_set: support\n")

    result = CliRunner().invoke(cli, ["check", "--json", str(file)])
    document = json.loads(result.stdout)

    assert 1 == result.exit_code
    assert 1 == document["file_count"]
    assert len(document["findings"]) == document["error_count"] > 0
    assert {"file", "line", "column", "severity", "path", "message"} == set(document["findings"][0])


@pytest.mark.parametrize("folder_exists", [True, False])
def test_check_of_nothing_is_a_usage_error(tmp_path: Path, folder_exists: bool) -> None:  # noqa: FBT001  # a case
    """An empty folder and a path that is not there have exit code 2: nothing was checked."""
    code, _ = _check(str(tmp_path if folder_exists else tmp_path / "none"))

    assert 2 == code
