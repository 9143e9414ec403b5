"""The suite loader beyond its corpus."""

from pathlib import Path

from archrouter.domain.findings import Finding, Severity
from archrouter.domain.suite import check_suite_routes
from archrouter.policy_files.policies import load_policy_set
from archrouter.policy_files.suites import read_suite_document

_VALID_FILES = Path(__file__).parents[2] / "data/policies/valid"


def test_places_locate_an_expected_route_the_policy_set_does_not_have() -> None:
    """A misspelled route id in a test is found where its author wrote it."""
    policy_set, _ = load_policy_set((_VALID_FILES / "minimal_domains.yaml").read_text(encoding="utf-8"))
    document = read_suite_document(
        "policy_set: minimal\n"
        "tests:\n"
        "  - {name: one, messages: [user: hi], expect: {route: code_writing}}\n"
        "  - {name: two, messages: [user: hi], expect: {route: code_writting}}\n"
    )
    assert policy_set is not None
    assert document.content is not None

    located = document.places.locate(check_suite_routes(document.content, policy_set))

    message = "'code_writting' is no route of the policy set 'minimal'; did you mean 'code_writing'?"
    assert (Finding(Severity.ERROR, "tests[1].expect.route", message, 4, 55),) == located
