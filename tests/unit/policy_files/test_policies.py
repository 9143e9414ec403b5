"""The policy loader beyond its corpus: sizes, positions for other checks, and whatever text there may be."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archrouter.domain.findings import Finding, Severity, has_errors
from archrouter.domain.policy import MAX_ROUTES
from archrouter.domain.policy_lint import lint_policy_set
from archrouter.policy_files.policies import load_policy_set, read_policy_document
from archrouter.strict_yaml.document import MAX_FINDINGS
from archrouter.strict_yaml.nodes import MAX_DOCUMENT_BYTES, MAX_NODE_COUNT

_HEAD = "policy_set: big\nfallback: [small]\nmodels: {small: {model: vendor/small}}\n"
_VALID = (Path(__file__).parents[2] / "data/policies/valid/every_key_of_domains.yaml").read_text(encoding="utf-8")


def _routes(count: int) -> str:
    return "routes:\n" + "".join(
        f"- {{id: r{number}, description: Route number {number}, models: [small]}}\n" for number in range(count)
    )


def test_load_gives_set_and_findings_of_the_document() -> None:
    """The short way to load gives the same set and findings as the document."""
    document = read_policy_document(_VALID)

    policy_set, findings = load_policy_set(_VALID)

    assert document.content == policy_set
    assert document.findings == findings


def test_misspelled_key_is_named_with_line_column_and_the_key_that_was_meant() -> None:
    """A typing error in a key is reported where it stands, under the path its author wrote, with the right word."""
    text = (
        "policy_set: support\n"
        "fallback: [small]\n"
        "models:\n"
        "  small: {model: vendor/small}\n"
        "domains:\n"
        "  - domain: programming\n"
        "    actions:\n"
        "      - action: code_generation\n"
        "        description: Generation of code\n"
        "        models: [small]\n"
        "      - action: bug_fixing\n"
        "        descripton: Fixing of bugs\n"
        "        models: [small]\n"
    )

    policy_set, findings = load_policy_set(text)

    message = "unknown key 'descripton'; did you mean 'description'?"
    assert policy_set is None
    assert (Finding(Severity.ERROR, "domains[0].actions[1].descripton", message, 12, 9),) == findings


def test_largest_set_is_accepted() -> None:
    """As many routes as a set may have can be written in one file."""
    policy_set, findings = load_policy_set(_HEAD + _routes(MAX_ROUTES))

    assert () == findings
    assert policy_set is not None
    assert MAX_ROUTES == len(policy_set.routes)


def test_one_route_too_many_is_reported_at_the_list() -> None:
    """The domain's own limit is found at the list that exceeds it."""
    policy_set, findings = load_policy_set(_HEAD + _routes(MAX_ROUTES + 1))

    message = f"{MAX_ROUTES + 1} routes exceed the limit of {MAX_ROUTES}; split the set"
    assert policy_set is None
    assert (Finding(Severity.ERROR, "routes", message, 5, 1),) == findings


def test_text_over_the_size_limit_is_refused_unread() -> None:
    """A document is measured in bytes before the parser sees it."""
    text = "# " + "ü" * (MAX_DOCUMENT_BYTES // 2)

    _, findings = load_policy_set(text)

    message = f"the document has {MAX_DOCUMENT_BYTES + 2} bytes, more than {MAX_DOCUMENT_BYTES}; split it"
    assert (Finding(Severity.ERROR, "", message),) == findings


def test_text_of_the_largest_size_is_read() -> None:
    """A document of exactly the size limit is still read."""
    text = _HEAD + _routes(1)

    policy_set, findings = load_policy_set(text + "#" * (MAX_DOCUMENT_BYTES - len(text)))

    assert () == findings
    assert policy_set is not None


def test_more_nodes_than_allowed_are_refused_where_they_exceed() -> None:
    """Parsing stops at the first value over the limit, however small the text is."""
    text = "policy_set: [" + "1," * MAX_NODE_COUNT + "]"

    _, findings = load_policy_set(text)

    # The top mapping, its key and the list are nodes, too.
    column = len("policy_set: [") + 2 * (MAX_NODE_COUNT - 3) + 1
    message = f"more than {MAX_NODE_COUNT} keys and values; split the document"
    assert (Finding(Severity.ERROR, "", message, 1, column),) == findings


def test_findings_over_the_limit_are_counted() -> None:
    """A document with endless findings gives the first ones and the number of the rest, which still count as errors."""
    text = _HEAD + _routes(1) + "".join(f"x{number}: 1\n" for number in range(MAX_FINDINGS + 20))

    policy_set, findings = load_policy_set(text)

    assert policy_set is None
    assert MAX_FINDINGS + 1 == len(findings)
    assert Finding(Severity.ERROR, "", "20 more findings are not listed; correct these first") == findings[-1]


def test_warnings_over_the_limit_do_not_reject_the_set() -> None:
    """Warnings stay warnings when there are too many to list."""
    models = "".join(f"  m{number}: {{model: vendor/m}}\n" for number in range(MAX_FINDINGS + 1))
    text = "policy_set: big\nfallback: [small]\nmodels:\n  small: {model: vendor/small}\n" + models + _routes(1)

    policy_set, findings = load_policy_set(text)

    assert policy_set is not None
    assert {Severity.WARNING} == {finding.severity for finding in findings}
    assert "1 more findings are not listed; correct these first" == findings[-1].message


def test_message_quotes_only_the_beginning_of_a_long_value() -> None:
    """However long a value is, the message about it stays readable."""
    text = _HEAD.replace("big", "B" * 100_000) + _routes(1)

    _, findings = load_policy_set(text)

    assert 1 == len(findings)
    assert len(findings[0].message) < 200


def test_long_unknown_key_gets_no_guess() -> None:
    """Nobody misspells a word into a sentence, and comparing long texts is slow."""
    _, findings = load_policy_set(_HEAD + _routes(1) + "descriptions" * 20 + ": 1\n")

    assert 1 == len(findings)
    assert "the keys here are 'policy_set', 'description'" in findings[0].message


def test_places_locate_what_other_checks_find() -> None:
    """A lint warning about a route leads to the line and to the field path of its author."""
    text = (
        "policy_set: support\n"
        "fallback: [small]\n"
        "models: {small: {model: vendor/small}}\n"
        "domains:\n"
        "  - domain: programming\n"
        "    actions:\n"
        "      - {action: review, id: audit, description: Review of code in detail, models: [small]}\n"
        "      - {action: review, id: check, description: Check the style of tests, models: [small]}\n"
    )
    document = read_policy_document(text)
    assert document.content is not None

    located = document.places.locate(lint_policy_set(document.content))

    assert [("domains[0].actions[0].id", 7, 30), ("domains[0].actions[1].action", 8, 18)] == [
        (finding.field_path, finding.line, finding.column) for finding in located
    ]


@pytest.mark.parametrize(
    ("domain_path", "expected"),
    [
        ("routes[0].unheard_of", ("domains[0]", 11, 5)),
        ("unheard_of[3].at_all", ("", 1, 1)),
    ],
)
def test_places_lead_to_the_nearest_known_field(domain_path: str, expected: tuple[str, int, int]) -> None:
    """A finding about a field the loader does not know is never lost: it is shown at the field around it."""
    document = read_policy_document(_VALID)

    (located,) = document.places.locate([Finding(Severity.WARNING, domain_path, "is odd")])

    assert expected == (located.field_path, located.line, located.column)


_SYNTAX = st.sampled_from(
    ["\n", "  ", "- ", ": ", "#", "[", "]", "{", "}", "&a ", "*a", "!!x ", "|", ">", "'", '"', "? "]
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(_VALID)), st.integers(0, 12), _SYNTAX | st.text(max_size=8)), max_size=4))
def test_any_damage_to_a_file_gives_findings_inside_it(damages: list[tuple[int, int, str]]) -> None:
    """Whatever is cut out of or put into a file, loading it never raises, and findings point into the text."""
    text = _VALID
    for start, length, insertion in damages:
        text = text[:start] + insertion + text[start + length :]

    document = read_policy_document(text)

    assert has_errors(document.findings) == (document.content is None)
    line_count = 1 + sum(text.count(line_break) for line_break in "\n\r\x85\u2028\u2029")
    for finding in document.findings:
        assert 1 <= finding.line <= line_count
        assert finding.column >= 1


@settings(max_examples=100)
@given(st.text())
def test_any_text_gives_findings(text: str) -> None:
    """Loading arbitrary text never raises; without the required keys there is no set."""
    policy_set, findings = load_policy_set(text)

    assert policy_set is None
    assert has_errors(findings)
