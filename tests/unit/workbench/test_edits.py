"""Edits of policy files: what was meant, and not a character more."""

from dataclasses import replace
from pathlib import Path

import pytest

from archrouter.domain.policy import PolicySet, ThresholdPromise
from archrouter.policy_files.policies import load_policy_set
from archrouter.workbench.edits import edited, file_diff
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
_WINDOWS = "\ufeff" + _FLOW.replace("\n", "\r\n")
_TEXTS = [_FLOW, _WINDOWS, *(path.read_text(encoding="utf-8") for path in sorted(_EXAMPLES.glob("*[!t].yaml")))]


def _read(text: str) -> PolicySet:
    policy_set, _ = load_policy_set(text)
    assert policy_set is not None
    return policy_set


def test_values_are_replaced_or_put_in_and_all_else_stays() -> None:
    """Values get their place in block and flow form; every comment and every other line is as it was."""
    before = _read(DOMAINS)
    code, fix, write = before.routes
    routes = (
        replace(code, min_confidence=0.7),
        replace(fix, min_confidence=0.8, examples=("it crashes",)),
        replace(write, examples=(*write.examples, "a", "b")),
    )
    promise = ThresholdPromise(0.02, 0.9, 812, "sha256:0", "sha256:1")
    intended = replace(before, min_confidence=0.9, promise=promise, routes=routes)

    text = edited(DOMAINS, intended)

    assert [
        "min_confidence: 0.9",
        "calibration: {max_error: 0.02, level: 0.9, cases: 812,",
        '  model_version: "sha256:0",',
        '  revision: "sha256:1"}',
        "    min_confidence: 0.7   # by hand",
        '      - {action: fix, description: Repairs it, models: [fast], min_confidence: 0.8, examples: ["it crashes"]}',
        '          - "a"',
        '          - "b"',
    ] == [line for line in text.splitlines() if line not in DOMAINS.splitlines()]
    assert intended == _read(text)
    assert "# a comment inside" in text


def test_comment_stays_with_its_line() -> None:
    """What is put in after a value goes after the comment on that value's line."""
    before = _read(_FLOW)
    second = replace(before.routes[1], examples=(*before.routes[1].examples, "five"), min_confidence=0.5)

    text = edited(_FLOW, replace(before, routes=(before.routes[0], second, before.routes[2])))

    assert '      - two   # of block form\n      - "five"\n' in text
    assert "  - id: b\n    min_confidence: 0.5\n    models: [general]   # no description\n" in text


def test_empty_list_is_filled() -> None:
    """A list without an item takes the first ones, and is not written a second time."""
    text = _FLOW.replace("examples: [one]", "examples: []")
    before = _read(text)
    filled = replace(before, routes=(replace(before.routes[0], examples=("one",)), *before.routes[1:]))

    assert _FLOW.replace("[one]", '["one"]') == edited(text, filled)


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

    after = edited(text, proposed)

    assert proposed == _read(after)
    assert [line for line in text.splitlines() if line.lstrip().startswith("#")] == [
        line for line in after.splitlines() if line.lstrip().startswith("#")
    ]


def test_what_is_not_reworded_stays_as_it_is() -> None:
    """The diff of one description touches no other line."""
    before = _read(_FLOW)
    first = replace(before.routes[0], description="Says another word")

    diff = file_diff(Path("p/small.yaml"), _FLOW, edited(_FLOW, replace(before, routes=(first, *before.routes[1:]))))

    changed = [line for line in diff.splitlines() if line[0] in "+-"]
    assert [
        "--- a/p/small.yaml",
        "+++ b/p/small.yaml",
        "-  - {id: a, description: Says a word, models: [general], examples: [one]}  # flow",
        '+  - {id: a, description: "Says another word", models: [general], examples: [one]}  # flow',
    ] == changed


def test_change_of_another_kind_is_refused() -> None:
    """Models and routes are not written, nor is an example taken away: the text would not hold the set."""
    before = _read(_FLOW)
    fewer = replace(before.routes[0], examples=())
    for intended in (
        replace(before, description="another"),
        replace(before, routes=before.routes[1:]),
        replace(before, routes=(fewer, *before.routes[1:])),
    ):
        with pytest.raises(WorkbenchError, match="cannot be written into the file by rule; change it by hand"):
            edited(_FLOW, intended)
    with pytest.raises(WorkbenchError, match="does not hold a valid policy set"):
        edited("policy_set: small", before)


def test_last_line_without_its_end() -> None:
    """A file whose last line has no line end gives a diff that says so, as git does."""
    assert file_diff(Path("a"), "x: 1", "x: 2").endswith(
        "-x: 1\n\\ No newline at end of file\n+x: 2\n\\ No newline at end of file\n"
    )
