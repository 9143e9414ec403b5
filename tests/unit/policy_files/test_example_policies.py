"""The examples are what authors copy from, so nothing can be held against them."""

from pathlib import Path

import pytest

from archrouter.domain.policy_lint import lint_policy_set
from archrouter.domain.suite import check_suite_routes
from archrouter.policy_files.directory import (
    PolicyDirectory,
    policy_files,
    read_policy_file,
    read_suite_file,
    suite_files,
)

_EXAMPLES = Path(__file__).parents[3] / "examples"
_SUITES = (*suite_files(_EXAMPLES / "policies"), _EXAMPLES / "demo" / "conversations.yaml")


def _name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", policy_files(_EXAMPLES / "policies"), ids=_name)
def test_example_policy_set_has_no_finding_and_no_lint_warning(path: Path) -> None:
    """Every example policy set loads without a finding, and `archrouter check` has nothing to say about it."""
    document = read_policy_file(path)

    assert () == document.findings
    assert document.content is not None
    assert () == lint_policy_set(document.content)


@pytest.mark.parametrize("path", _SUITES, ids=_name)
def test_example_suite_loads_and_expects_only_routes_that_exist(path: Path) -> None:
    """Every example suite loads without a finding and names routes of its policy set."""
    policy_sets = {s.policy_set.id: s.policy_set for s in PolicyDirectory(_EXAMPLES / "policies").load().accepted}

    document = read_suite_file(path)

    assert () == document.findings
    suite = document.content
    assert suite is not None
    assert () == check_suite_routes(suite, policy_sets[suite.policy_set_id])
