"""The lint: what is valid and will still confuse any router."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrouter.domain.findings import Finding, Severity
from archrouter.domain.policy import ModelTarget, PolicySet, RoutePolicy
from archrouter.domain.policy_lint import MAX_DESCRIPTION_WORDS, lint_policy_set

_MODELS = (ModelTarget("vendor/small"),)
_REVIEW = RoutePolicy("code_review", "code", "review", "Review of a pull request before merge", _MODELS)
_TRAVEL = RoutePolicy("trip_planning", "travel", "planning", "Planning trips, hotels and train journeys", _MODELS)


def _set(*routes: RoutePolicy) -> PolicySet:
    return PolicySet("lint", "", routes, _MODELS)


def _warning(field_path: str, message: str) -> Finding:
    return Finding(Severity.WARNING, field_path, message)


def test_lint_of_clear_set_says_nothing() -> None:
    """Routes that differ and say what they mean need no warning."""
    assert () == lint_policy_set(_set(_REVIEW, _TRAVEL))


@pytest.mark.parametrize(
    ("route_id", "description"),
    [
        ("refactoring", "Wishes to refactor existing code"),
        ("codeReview", "A review before the merge"),
        ("SQL-query", "Any query to a database"),
        ("math", "Mathematics, from sums to proofs"),
        ("trip.planning", "PLANNING of a whole journey"),
        ("math", "Mathematics and quantitative reasoning"),
        ("bug_fixing", "Finding what is wrong, for all bugs"),
        ("旅行计划", "旅行和签证的问题"),
    ],
)
def test_lint_accepts_id_that_shares_the_stem_of_a_word(route_id: str, description: str) -> None:
    """Inflection, case, and the way an id joins its words do not matter."""
    assert () == lint_policy_set(_set(replace(_REVIEW, id=route_id, description=description)))


@pytest.mark.parametrize("description", ["Mathematics and proofs of it", "An arc in a circle"])
def test_lint_takes_no_two_letters_for_a_word(description: str) -> None:
    """That a word begins with one or two letters of the id says nothing."""
    findings = lint_policy_set(_set(replace(_REVIEW, id="ar_ma", description=description)))

    assert ["routes[0].id"] == [finding.field_path for finding in findings]


def test_lint_warns_of_id_that_shares_no_word_with_its_description() -> None:
    """An id is half of what the router reads; it must not speak of something else."""
    findings = lint_policy_set(_set(_TRAVEL, replace(_REVIEW, id="tier_2")))

    message = "'tier_2' shares no word with its description; let the description repeat the id's words"
    assert (_warning("routes[1].id", message),) == findings


@pytest.mark.parametrize(("description", "count"), [("Code review", 2), ("Review of code...", 3), ("代码?", 2)])
def test_lint_warns_of_short_description(description: str, count: int) -> None:
    """Fewer than four words say little more than the id."""
    findings = lint_policy_set(_set(replace(_REVIEW, id="code_代", description=description)))

    message = f"has {count} words; write 4 or more, naming what users ask for"
    assert (_warning("routes[0].description", message),) == findings


def test_lint_warns_of_long_description() -> None:
    """More than sixty words are a manual, not a description; sixty are not."""
    longest = " ".join(["review"] * MAX_DESCRIPTION_WORDS)

    findings = lint_policy_set(_set(replace(_REVIEW, description=f"{longest} again")))

    message = "has 61 words; 60 or fewer are enough to say what is meant"
    assert (_warning("routes[0].description", message),) == findings
    assert () == lint_policy_set(_set(replace(_REVIEW, description=longest)))


def test_lint_warns_of_descriptions_that_nearly_coincide() -> None:
    """Of two descriptions with nearly the same words the later is named, with the earlier one and the measure."""
    like = replace(_REVIEW, id="merge_review", action="merge", description="Reviews a pull request BEFORE the merge.")

    findings = lint_policy_set(_set(_TRAVEL, _REVIEW, like))

    # Common: review, a, pull, request, before, merge; of the earlier alone: of; of the later alone: the.
    message = "shares 75% of its words with that of 'code_review'; say what tells the two apart"
    assert (_warning("routes[2].description", message),) == findings


@pytest.mark.parametrize(("description", "is_near"), [("review a b x", True), ("review a x y", False)])
def test_lint_compares_descriptions_with_the_stated_threshold(description: str, is_near: bool) -> None:  # noqa: FBT001
    """From three fifths of common words on, two descriptions nearly coincide."""
    one = replace(_REVIEW, id="review", description="review a b c")
    other = replace(_REVIEW, id="review_2", action="other", description=description)

    assert is_near == bool(lint_policy_set(_set(one, other)))


def test_lint_names_only_the_likest_of_several_descriptions() -> None:
    """Three alike descriptions give two warnings, not three: each is compared with the closest before it."""
    routes = [replace(_REVIEW, id=f"review_{number}", action=f"review {number}") for number in range(3)]

    findings = lint_policy_set(_set(*routes))

    message = "shares 100% of its words with that of 'review_0'; say what tells the two apart"
    assert tuple(_warning(f"routes[{index}].description", message) for index in (1, 2)) == findings


@pytest.mark.parametrize(
    ("domain", "action", "field"),
    [("code", "review", "action"), ("code", "", "domain"), ("", "review", "action")],
)
def test_lint_warns_of_identical_domain_and_action(domain: str, action: str, field: str) -> None:
    """Two routes for the same operation in the same domain compete by nothing but their wording."""
    one = replace(_REVIEW, domain=domain, action=action)
    other = replace(_TRAVEL, domain=domain, action=action)

    findings = lint_policy_set(_set(one, other))

    message = "'code_review' has the same domain and action; make them differ, or merge the two routes"
    assert (_warning(f"routes[1].{field}", message),) == findings


def test_lint_accepts_many_routes_without_domain_and_action() -> None:
    """In the flat form neither is needed."""
    routes = (replace(_REVIEW, domain="", action=""), replace(_TRAVEL, domain="", action=""))

    assert () == lint_policy_set(_set(*routes))


def test_lint_reports_in_the_order_of_the_routes() -> None:
    """Warnings follow the policy file, route by route."""
    vague = replace(_REVIEW, id="x", description="Anything else")
    again = replace(vague, id="y")

    findings = lint_policy_set(_set(vague, _TRAVEL, again))

    expected = ["0].id", "0].description", "2].id", "2].description", "2].description", "2].action"]
    assert [f"routes[{path}" for path in expected] == [finding.field_path for finding in findings]


@given(st.lists(st.tuples(st.text(), st.text(), st.text(), st.text()), max_size=6))
def test_lint_of_any_set_gives_warnings_about_its_routes(texts: list[tuple[str, str, str, str]]) -> None:
    """Whatever the texts are, the lint never fails, and every warning belongs to a route."""
    routes = tuple(RoutePolicy(*fields, _MODELS) for fields in texts)

    findings = lint_policy_set(_set(*routes))

    paths = {f"routes[{i}].{field}" for i in range(len(routes)) for field in ("id", "description", "domain", "action")}
    assert {finding.severity for finding in findings} <= {Severity.WARNING}
    assert {finding.field_path for finding in findings} <= paths


def test_lint_accepts_a_short_description_or_none_where_examples_tell() -> None:
    """Examples say what a route is for, and share the words of its id."""
    named_only = replace(_REVIEW, description="", examples=("please review my merge request",))

    assert () == lint_policy_set(_set(named_only, replace(_TRAVEL, description="Planning", examples=("plan a trip",))))


def test_lint_warns_of_an_example_that_two_routes_have() -> None:
    """Case and spaces make no other example; the earlier route is named. What is not meant may be meant elsewhere."""
    first = replace(_REVIEW, examples=("look at this",), not_examples=("plan a trip",))
    second = replace(_TRAVEL, examples=("plan a trip", "Look  at THIS"))

    message = "'Look  at THIS' is an example of 'code_review' too; keep it at the one it means"
    assert (_warning("routes[1].examples[1]", message),) == lint_policy_set(_set(first, second))
