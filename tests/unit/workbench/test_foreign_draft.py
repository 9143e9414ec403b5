"""From any foreign routes to a valid policy set, a suite, and files that read back the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archrouter.domain.conversation import Message, Role
from archrouter.domain.decision import Outcome
from archrouter.domain.policy import (
    MAX_DESCRIPTION_CHARACTERS,
    MAX_EXAMPLE_CHARACTERS,
    ModelTarget,
    PolicySet,
    RoutePolicy,
    check_policy_set,
)
from archrouter.domain.suite import Suite, SuiteCase, check_suite, check_suite_routes
from archrouter.policy_files.policies import load_policy_set
from archrouter.policy_files.suites import read_suite_document
from archrouter.workbench.foreign.draft import draft
from archrouter.workbench.foreign.facts import ForeignRoute, ForeignSet, Note
from archrouter.workbench.foreign.writer import policy_file, suite_file

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_MODEL = st.sampled_from(
    [
        ModelTarget("a/x"),
        ModelTarget("b/x"),
        ModelTarget("b/x", '{"effort":"1e3","on":true}'),
        ModelTarget("*&!: #", '{"a":{"b":["yes",0.5,null]}}'),
    ]
)
_ROUTE = st.builds(
    ForeignRoute,
    place=st.just("routes[0]"),
    name=_TEXT.filter(str.strip) | st.sampled_from(["other", "é", "e\u0301", "x" * 70, "a\x00b"]),
    description=_TEXT | st.just("d" * (MAX_DESCRIPTION_CHARACTERS + 1)),
    models=st.lists(_MODEL, max_size=3, unique=True).map(tuple),
    utterances=st.lists(_TEXT | st.just("u" * (MAX_EXAMPLE_CHARACTERS + 1)), max_size=40).map(tuple),
    not_utterances=st.lists(_TEXT, max_size=12).map(tuple),
)


@settings(max_examples=30)
@given(routes=st.lists(_ROUTE, min_size=1, max_size=4), holds_out=st.booleans())
def test_every_draft_is_valid_and_reads_back_the_same(routes: list[ForeignRoute], *, holds_out: bool) -> None:
    """Whatever names and texts a configuration has, the file that is written has no error and the same meaning."""
    drafted = draft(ForeignSet(tuple(routes)), "set", [], [], holds_out=holds_out)

    assert () == check_policy_set(drafted.policy_set)
    assert drafted.policy_set == load_policy_set(policy_file(drafted.policy_set, ["comment"]))[0]
    if drafted.cases:
        assert () == check_suite(drafted.suite) + check_suite_routes(drafted.suite, drafted.policy_set)
        assert drafted.suite == read_suite_document(suite_file(drafted.suite)).content


def test_written_set_keeps_what_imports_never_have() -> None:
    """The writer serves any policy set: thresholds, domains and a description of the set come back too."""
    route = RoutePolicy("r", "food", "cooking", "Cooking a meal", (ModelTarget("m"),), 0.25, ("boil it",), ("eat it",))
    policy_set = PolicySet("set", "For the kitchen", (route,), (ModelTarget("m"),), 0.5)

    assert policy_set == load_policy_set(policy_file(policy_set))[0]


@pytest.mark.parametrize(
    "character", ["\x00", "\t", "\r", "\x85", "\u2028", "\ufeff", "\uffff", "'", '"', "#", ": ", "\n"]
)
def test_written_text_keeps_every_character(character: str) -> None:
    """Line ends of other systems, control characters and YAML's own signs come back as they were."""
    text = f"a{character}b {character} c"
    route = RoutePolicy("r", "", "", text, (ModelTarget("m"),), None, (text,))
    policy_set = PolicySet("set", "", (route,), (ModelTarget("m"),))

    assert policy_set == load_policy_set(policy_file(policy_set))[0]


def test_written_suite_keeps_roles_and_outcomes() -> None:
    """A case may have several messages, an outcome, and no route."""
    messages = (Message(Role.USER, "hi"), Message(Role.ASSISTANT, "hello"), Message(Role.USER, "42"))
    suite = Suite("set", (SuiteCase("none", messages, "", Outcome.NO_MATCH), SuiteCase("one", messages, "r")))

    assert suite == read_suite_document(suite_file(suite)).content


def _utterances(count: int) -> tuple[str, ...]:
    return tuple(f"text {index}" for index in range(count))


def test_every_third_utterance_is_held_out_and_what_examples_have_no_room_for() -> None:
    """What tells the router is never what tests it, and no utterance is lost."""
    route = ForeignRoute("routes[0]", "r", "", (), _utterances(18))
    notes: list[Note] = []

    drafted = draft(ForeignSet((route,)), "set", ["m"], notes, holds_out=True)

    told = set(drafted.policy_set.routes[0].examples)
    asked = {case.messages[0].content for case in drafted.cases}
    assert 10 == len(told)
    assert {"text 2", "text 5", "text 8", "text 11", "text 14", "text 17", "text 15", "text 16"} == asked
    assert set(_utterances(18)) == told | asked
    assert "8 utterances held out of the examples, for the suite" in [note.text for note in notes]


def test_utterances_beyond_the_limits_are_reported_without_a_suite() -> None:
    """Ten examples of 500 characters are kept; the rest is counted."""
    long, repeated = "x" * (MAX_EXAMPLE_CHARACTERS + 1), "text 0"
    route = ForeignRoute("routes[0]", "r", "", (), (*_utterances(12), long, repeated, " "))
    notes: list[Note] = []

    drafted = draft(ForeignSet((route,)), "set", ["m"], notes, holds_out=False)

    assert _utterances(10) == drafted.policy_set.routes[0].examples
    assert [
        "3 utterances: empty, repeated, or longer than 500 characters",
        "2 utterances beyond the 10 examples of a route; --suite keeps them",
    ] == [note.text for note in notes if "utterances" in note.text]


def test_names_that_collide_become_ids_that_do_not() -> None:
    """Ids are unique, 64 characters at most, and never the reserved word; each change is reported."""
    names = ("a", "a", "a_2", "other", "x" * 70, "x" * 70, " spaced\tout ")
    notes: list[Note] = []

    drafted = draft(
        ForeignSet(tuple(ForeignRoute(f"routes[{index}]", name, "d") for index, name in enumerate(names))),
        "set",
        ["m"],
        notes,
        holds_out=False,
    )

    ids = [route.id for route in drafted.policy_set.routes]
    assert ["a", "a_2", "a_2_2", "other_requests", "x" * 64, "x" * 62 + "_2", "spaced out"] == ids
    assert 6 == sum("became the id" in note.text for note in notes)
