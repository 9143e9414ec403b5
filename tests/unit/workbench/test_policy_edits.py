"""Wordings written into policy files."""

from dataclasses import replace
from pathlib import Path

import pytest

from archrouter.domain.policy import PolicySet
from archrouter.policy_files.policies import load_policy_set
from archrouter.workbench.policy_edits import EditError, reworded, unified_diff

_EXAMPLES = Path(__file__).parents[3] / "examples" / "policies"
_FLOW = """\
policy_set: small
models: {general: {model: m}}
fallback: [general]
routes:
  - {id: a, description: Says a word, models: [general], examples: [one]}  # flow
  - id: b
    models: [general]   # no description
    examples:
      - two   # of block form
    not_examples: [three]
  - id: c
    description: |
      A literal block

    models: [general]
"""
_TEXTS = [_FLOW, *(path.read_text(encoding="utf-8") for path in sorted(_EXAMPLES.glob("*[!t].yaml")))]


def _read(text: str) -> PolicySet:
    policy_set, _ = load_policy_set(text)
    assert policy_set is not None
    return policy_set


@pytest.mark.parametrize("text", _TEXTS)
def test_every_form_of_a_route_is_edited(text: str) -> None:
    """Longer descriptions and new examples go into flow and block forms, and no comment is lost."""
    before = _read(text)
    proposed = replace(
        before,
        routes=tuple(
            replace(
                route,
                description=f'{route.description}, such as "a: b" x#c' if route.description else "",
                examples=(*route.examples, 'say "x": y', "- z"),
                not_examples=(*route.not_examples, "#w"),
            )
            for route in before.routes
        ),
    )

    after = reworded(text, proposed)

    assert proposed == _read(after)
    assert [line for line in text.splitlines() if line.lstrip().startswith("#")] == [
        line for line in after.splitlines() if line.lstrip().startswith("#")
    ]


def test_what_is_not_reworded_stays_as_it_is() -> None:
    """The diff of one description touches no other line."""
    before = _read(_FLOW)
    first = replace(before.routes[0], description="Says another word")

    diff = unified_diff("p/small.yaml", _FLOW, reworded(_FLOW, replace(before, routes=(first, *before.routes[1:]))))

    changed = [line for line in diff.splitlines() if line[0] in "+-"]
    assert [
        "--- a/p/small.yaml",
        "+++ b/p/small.yaml",
        "-  - {id: a, description: Says a word, models: [general], examples: [one]}  # flow",
        '+  - {id: a, description: "Says another word", models: [general], examples: [one]}  # flow',
    ] == changed


def test_change_of_another_kind_is_refused() -> None:
    """Only wording is written: a set with another threshold is not what the text would hold."""
    with pytest.raises(EditError, match="cannot be written into the file"):
        reworded(_FLOW, replace(_read(_FLOW), min_confidence=0.5))


def test_last_line_without_its_end() -> None:
    """A file whose last line has no line end gives a diff that says so, as git does."""
    assert unified_diff("a", "x: 1", "x: 2").endswith(
        "-x: 1\n\\ No newline at end of file\n+x: 2\n\\ No newline at end of file\n"
    )
