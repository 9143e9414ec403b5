"""``archrouter test`` against a real server."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import grpc
import pytest
from click.testing import CliRunner, Result
from tests.support.routing_services import ScriptedService, matched, no_match, refused, serving

from archrouter import v1
from archrouter.cli import cli
from archrouter.cli.junit import junit_xml
from archrouter.domain.conversation import Message, Role
from archrouter.domain.suite import SuiteCase
from archrouter.policy_files.policies import load_policy_set
from archrouter.suites.calls import Answered, Failure
from archrouter.suites.run import CaseResult

POLICY_SET = """\
policy_set: support
models: {general: {model: m/general, parameters: {temperature: 0}}}
fallback: [general]
min_confidence: 0.25
routes:
  - {id: refund, description: Asks for a refund of money already paid, models: [general]}
"""
SUITE = """\
policy_set: support
tests:
  - name: wants money back
    messages: [{user: money back please}]
    expect: {route: refund, outcome: MATCHED}
  - name: says thanks
    messages: [{user: money back please}, {assistant: done}, {user: thanks}]
    expect: {route: other}
"""


def _answer(request: v1.SelectRouteRequest) -> v1.Decision:
    return no_match() if request.messages[-1].content == "thanks" else matched("refund")


def _wrong(request: v1.SelectRouteRequest) -> v1.Decision:
    del request
    return matched("refund")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a policy set and its suite."""
    (tmp_path / "support.yaml").write_text(POLICY_SET, encoding="utf-8")
    (tmp_path / "support_test.yaml").write_text(SUITE, encoding="utf-8")
    return tmp_path


def _test(service: ScriptedService, *arguments: str) -> Result:
    with serving(service) as target:
        return CliRunner().invoke(cli, ["test", "--target", target, *arguments])


def test_suite_passes_and_asks_by_name(folder: Path) -> None:
    """A running service is asked for the policy set it has loaded; cases as expected give exit code 0."""
    service = ScriptedService(_answer)

    result = _test(service, str(folder))

    assert 0 == result.exit_code
    assert ["policySets/support"] * 2 == [request.policy_set for request in service.requests]
    assert "100.0 %" in result.stdout


def test_suite_sends_the_policy_file_with_inline(folder: Path) -> None:
    """With --inline the files on disk are tested: they travel with each request, unchanged."""
    service = ScriptedService(_answer)

    _test(service, "--inline", str(folder))

    sent = service.requests[0].inline_policy_set
    assert ("policySets/support", 0.25) == (sent.name, sent.min_confidence)
    assert {"temperature": 0.0} == dict(sent.fallback_models[0].parameters)
    assert ["refund"] == [route.id for route in sent.routes]


def test_failed_case_is_shown_and_fails_the_command(folder: Path) -> None:
    """A case that came out otherwise is in the table with what was expected, and the exit code is 1."""
    result = _test(ScriptedService(_wrong), str(folder))

    assert 1 == result.exit_code
    assert "says thanks" in result.stdout
    assert "refund (MATCHED)" in result.stdout
    assert "50.0 % of the cases passed, less than 100.0 % (--min-accuracy)" in result.stderr


def test_share_that_is_enough_passes(folder: Path) -> None:
    """With --min-accuracy some cases may fail."""
    assert 0 == _test(ScriptedService(_wrong), "--min-accuracy", "0.5", str(folder)).exit_code


def test_failed_call_fails_its_case(folder: Path) -> None:
    """A call without a decision is a case that failed, with its cause."""

    def refuse(_request: v1.SelectRouteRequest) -> v1.Decision:
        raise refused(grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL")

    result = _test(ScriptedService(refuse), "--json", str(folder))

    document = json.loads(result.stdout)
    assert 1 == result.exit_code
    assert 0.0 == document["accuracy"]
    assert "ERROR_REASON_INTERNAL: refused with INTERNAL" == document["suites"][0]["cases"][0]["actual"]


def test_other_revision_is_noted(folder: Path) -> None:
    """When the service decides by another revision than the file's, the author is told."""
    policy_set, _ = load_policy_set(POLICY_SET)
    assert policy_set is not None

    def by_revision(revision: str) -> ScriptedService:
        def answer(request: v1.SelectRouteRequest) -> v1.Decision:
            decision = _answer(request)
            decision.policy_set_revision = revision
            return decision

        return ScriptedService(answer)

    same, other = _test(by_revision(policy_set.revision), str(folder)), _test(by_revision("sha256:0"), str(folder))

    assert "another revision" not in same.stderr
    assert "the service has another revision of support" in other.stderr


def test_junit_file_is_written(folder: Path) -> None:
    """The report holds a suite with its counts and a failure with the conversation."""
    report = folder / "report.xml"

    _test(ScriptedService(_wrong), "--junit", str(report), str(folder))

    (suite,) = ET.fromstring(report.read_text(encoding="utf-8"))  # noqa: S314  # written here
    assert ("2", "1", "0") == (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["errors"])
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "expected other, got refund (MATCHED)" == failure.attrib["message"]
    assert "user: money back please\nassistant: done\nuser: thanks" == failure.text


def test_junit_is_valid_whatever_conversations_hold() -> None:
    """Control characters, markup and quotes in names and messages give well-formed XML; a failed call is an error."""
    messages = (Message(Role.USER, 'a\x00b\x1b[31m <tag> & "quote" \ud83d'),)
    wrong = CaseResult(SuiteCase("na\x07me <&>", messages, "refund"), Answered(no_match(), 0.25))
    failed = CaseResult(SuiteCase("x", messages, ""), Failure(grpc.StatusCode.UNAVAILABLE, "", "gone\x00"))

    root = ET.fromstring(junit_xml({"a\x01.yaml": [wrong, failed]}))  # noqa: S314  # written here

    (suite,) = root
    assert {
        "tests": "2",
        "failures": "1",
        "errors": "1",
        "skipped": "0",
        "time": "0.250",
    }.items() <= suite.attrib.items()
    assert "na\ufffdme <&>" == suite[0].attrib["name"]
    error = suite.find("testcase/error")
    assert error is not None
    assert {"type": "UNAVAILABLE", "message": "gone\ufffd"} == error.attrib


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "choose the service"),
        (["--embedded", "--target", "127.0.0.1:1"], "choose the service"),
    ],
)
def test_service_must_be_chosen(folder: Path, arguments: list[str], problem: str) -> None:
    """A running service or one of one's own: neither and both are usage errors."""
    result = CliRunner().invoke(cli, ["test", *arguments, str(folder)])

    assert 2 == result.exit_code
    assert problem in result.stderr


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("support_test.yaml", "policy_set: support\n", "support_test.yaml:1:1: error: tests: is missing"),
        ("support_test.yaml", SUITE.replace("refund", "refunds"), "did you mean 'refund'?"),
    ],
)
def test_broken_suite_is_a_usage_error(folder: Path, name: str, text: str, problem: str) -> None:
    """A suite that cannot be run has exit code 2 and its findings; no call is made."""
    (folder / name).write_text(text, encoding="utf-8")
    service = ScriptedService(_answer)

    result = _test(service, str(folder))

    assert 2 == result.exit_code
    assert problem in result.stderr
    assert [] == service.requests


def test_inline_without_policy_file_is_a_usage_error(folder: Path) -> None:
    """Policy files that should travel have to be there."""
    (folder / "support.yaml").unlink()

    result = _test(ScriptedService(_answer), "--inline", str(folder))

    assert 2 == result.exit_code
    assert "--policies DIR" in result.stderr


def test_folder_without_suites_is_a_usage_error(tmp_path: Path) -> None:
    """A test of nothing does not pass."""
    result = _test(ScriptedService(_answer), str(tmp_path))

    assert 2 == result.exit_code
    assert "no suite" in result.stderr


def test_unreachable_service_has_exit_code_3(folder: Path) -> None:
    """A service that does not answer ends the command at once."""
    with serving(ScriptedService(_answer)) as target:
        pass  # the port is free again

    assert 3 == CliRunner().invoke(cli, ["test", "--target", target, str(folder)]).exit_code
