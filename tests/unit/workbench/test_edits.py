"""Edits of policy files: what was meant, and not a character more."""

from dataclasses import replace

import pytest

from archrouter.domain.policy import PolicySet
from archrouter.policy_files.policies import load_policy_set
from archrouter.workbench.edits import checked_edit, set_values
from archrouter.workbench.policies import WorkbenchError

DOMAINS = """\
# About this set
policy_set: gateway   # the name
models:
  fast: {model: m/fast}
fallback: [fast]
domains:
  - domain: code
    description: |
      Anything about code
      over two lines
    models: [fast]
    # the threshold of the domain
    min_confidence: 0.5   # by hand
    actions:
      - {action: fix, description: Repairs it, models: [fast]}
      - action: write
        description: "Writes new code"
        models: [fast]
        examples:
          - write me a parser
          # a comment inside
# the end
"""


def _set(text: str) -> PolicySet:
    policy_set, findings = load_policy_set(text)
    assert policy_set is not None, findings
    return policy_set


def test_values_are_replaced_or_put_in_and_all_else_stays() -> None:
    """Values get their place in block and flow form; every comment and every other line is as it was."""
    routes = {
        "code": {"min_confidence": "0.7"},
        "code_fix": {"min_confidence": "0.8", "examples": "[it crashes]"},
        "code_write": {"examples": '["a", "b"]'},
    }

    edited = set_values(DOMAINS, {"min_confidence": "0.9"}, routes)

    assert [
        "min_confidence: 0.9",
        "    min_confidence: 0.7   # by hand",
        "      - {action: fix, description: Repairs it, models: [fast], min_confidence: 0.8, examples: [it crashes]}",
        '        examples: ["a", "b"]',
    ] == [line for line in edited.splitlines() if line not in DOMAINS.splitlines()]
    policy_set = _set(edited)
    assert (0.9, 0.7, 0.8) == (policy_set.min_confidence, *(one.min_confidence for one in policy_set.routes[:2]))
    assert (("it crashes",), ("a", "b")) == (policy_set.routes[1].examples, policy_set.routes[2].examples)
    assert "# a comment inside" in edited


def test_edit_that_says_something_else_is_refused() -> None:
    """What was meant is compared with what a reader of the edited file gets."""
    intended = replace(_set(DOMAINS), min_confidence=0.4)

    assert "min_confidence: 0.4" in checked_edit(set_values(DOMAINS, {"min_confidence": "0.4"}), intended)
    with pytest.raises(WorkbenchError, match="change it by hand"):
        checked_edit(DOMAINS, intended)
    with pytest.raises(WorkbenchError, match="'none' was not found"):
        set_values(DOMAINS, {}, {"none": {"min_confidence": "1"}})
