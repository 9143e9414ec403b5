"""What single changes do to a text, an id or a description."""

from dataclasses import replace

import pytest
from data.augment.cutting import truncated
from data.augment.drawing import seeded
from data.augment.irrelevance import coarse_domains, removed_route
from data.augment.mixing import follow_up
from data.augment.naming import STYLES, renamed
from data.augment.phrases import load_phrases, load_wordings
from data.augment.policies import near_duplicates
from data.augment.settings import Overlap
from data.augment.standing import stands_alone
from data.augment.wording import reworded_route
from data.records import Record, Turn, assistant, granularity_of, make_route, user

from archrouter.domain.policy import RoutePolicy

ENGLISH = load_phrases()["en"]
WORDINGS = load_wordings()
MAIL = make_route("mail", "mail", "", "Questions about letters in general, rather than writing them")
DRAFT = make_route("mail_draft", "mail", "draft", "Write a new letter")
REPLY = make_route("mail_replyTo", "mail", "replyTo", "Answer a letter the user got")
LAW = make_route("employment_law_dismissal", "employment_law", "dismissal", "The end of employment")


def record(*turns: Turn, routes: tuple[RoutePolicy, ...] = (MAIL, DRAFT, REPLY, LAW)) -> Record:
    """Make a record of a policy set of four."""
    return Record("office/1", "office", granularity_of(routes), "office", routes, turns)


REQUEST = user("please write a letter to the landlord about the broken heating in our kitchen", "mail_draft")


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("snake", "employment_law_dismissal"),
        ("kebab", "employment-law-dismissal"),
        ("camel", "employmentLawDismissal"),
        ("pascal", "EmploymentLawDismissal"),
        ("upper", "EMPLOYMENT_LAW_DISMISSAL"),
        ("dotted", "employment_law.dismissal"),
        ("path", "employment-law/dismissal"),
        ("title", "Employment law dismissal"),
        ("reversed", "dismissal_employment_law"),
    ],
)
def test_an_id_is_written_in_each_style(style: str, expected: str) -> None:
    """From the words of domain and action."""
    assert expected == STYLES[style]([["employment", "law"], ["dismissal"]])


def test_renaming_says_its_style_and_keeps_what_the_routes_mean() -> None:
    """Domain, action and description stay; ids differ from each other whatever the style."""
    seen = set()
    for seed in range(60):
        version = renamed(record(REQUEST), seeded(seed))
        if version is not None:
            (name,) = version.provenance.augmentations
            seen.add(name)
            assert 4 == len({route.id for route in version.routes})
            assert [MAIL, DRAFT, REPLY, LAW] == [
                replace(route, id=old.id) for route, old in zip(version.routes, (MAIL, DRAFT, REPLY, LAW), strict=True)
            ]
            assert version.routes[1].id == version.turns[0].route
    assert {f"renamed:{style}" for style in [*STYLES, "numbered", "description"]} == seen


def test_ids_that_would_be_equal_are_numbered() -> None:
    """Two routes whose domain and action are written alike stay apart, and none becomes the reserved word."""
    twins = (make_route("a", "note", "taking", "One"), make_route("b", "note_taking", "", "Two"))
    reserved = (make_route("c", "other", "", "Three"),)

    for seed in range(40):
        version = renamed(record(user("x", "a"), routes=(*twins, *reserved)), seeded(seed))

        assert version is not None
        ids = [route.id for route in version.routes]
        assert 3 == len(set(ids))
        assert "other" not in ids


def test_a_fallback_that_shuts_requests_out_gets_a_new_description() -> None:
    """The policy of the domain says "rather than writing them", so it could not take what the removed policy took."""
    version = next(
        made
        for seed in range(50)
        if (made := removed_route(record(REQUEST), WORDINGS, Overlap(), seeded(seed))) is not None
    )

    assert "mail" == version.turns[0].route
    assert "rather than" not in version.routes[0].description
    assert "write a new letter" in version.routes[0].description
    assert {"mail", "mail_replyTo", "employment_law_dismissal"} == {route.id for route in version.routes}


def test_a_stand_in_is_removed_as_well() -> None:
    """Where another policy may do, taking away only one of them would leave the label in doubt."""
    overlap = Overlap(stand_ins={"office": (frozenset({"mail_draft", "mail_replyTo"}),)})

    version = removed_route(record(REQUEST), WORDINGS, overlap, seeded(1))

    assert version is not None
    assert {"mail", "employment_law_dismissal"} == {route.id for route in version.routes}


def test_the_only_route_is_never_removed() -> None:
    """A policy set is never empty."""
    only = record(replace(REQUEST, route="mail_draft"), routes=(DRAFT,))

    assert removed_route(only, WORDINGS, Overlap(), seeded(1)) is None


def test_coarse_domains_keep_actions_of_domains_without_a_policy_of_their_own() -> None:
    """Only the mail domain has one."""
    version = coarse_domains(record(REQUEST), WORDINGS, seeded(1))

    assert version is not None
    assert ["mail", "employment_law_dismissal"] == [route.id for route in version.routes]
    assert "mail" == version.turns[0].route


def test_a_follow_up_keeps_the_label_of_the_request_before() -> None:
    """It ends the conversation after the reply it asks more of."""
    talk = record(REQUEST, assistant("Dear landlord"), user("thanks", "other"))

    version = follow_up(talk, ENGLISH, seeded(2))

    assert version is not None
    assert talk.turns[:2] == version.turns[:2]
    assert [(2, "mail_draft")] == list(version.labels)[1:]


def test_a_follow_up_needs_a_reply_to_a_request() -> None:
    """A conversation of one turn has none."""
    assert follow_up(record(REQUEST), ENGLISH, seeded(1)) is None


def test_truncation_drops_labels_that_need_what_is_gone() -> None:
    """A "shorter" is nothing without the letter; a new subject in its own words keeps its label, and so do thanks."""
    talk = record(
        REQUEST,
        assistant("Dear landlord"),
        user("shorter", "mail_draft"),
        assistant("Dear L."),
        user("my boss gave me notice yesterday evening, how long may I stay there", "employment_law_dismissal"),
        assistant("Three months."),
        user("and my colleague?", "employment_law_dismissal"),
        assistant("The same."),
        user("thanks", "other"),
    )

    versions = {version.turns for seed in range(40) if (version := truncated(talk, ENGLISH, seeded(seed)))}

    labels = {tuple(turn.route for turn in turns if turn.role.value == "user") for turns in versions}
    assert {
        (None, "employment_law_dismissal", "employment_law_dismissal", "other"),
        ("employment_law_dismissal", "employment_law_dismissal", "other"),
    } == labels


def test_truncation_needs_a_turn_that_is_understood() -> None:
    """Without one, no label could be trusted."""
    talk = record(REQUEST, assistant("Dear landlord"), user("shorter", "mail_draft"))

    assert truncated(talk, ENGLISH, seeded(1)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write a letter to my landlord about the heating please", True),
        ("and write a letter to my landlord about the heating", False),
        ("write a letter", False),
    ],
)
def test_a_turn_stands_alone_by_length_and_first_word(text: str, *, expected: bool) -> None:
    """Long enough, and not beginning like a continuation."""
    assert expected == stands_alone(user(text))


@pytest.mark.parametrize(
    ("text", "route", "expected"),
    [
        ("thanks a lot!", "other", True),
        ("thanks, what's the weather?", "other", False),
        ("tell me about the weather", "other", False),
        ("thanks a lot!", "mail", False),
    ],
)
def test_only_short_thanks_and_greetings_are_social(text: str, route: str, *, expected: bool) -> None:
    """A question is none, and neither is a turn that has a route."""
    assert expected == ENGLISH.is_social(user(text, route))


def test_a_narrowed_copy_is_made_only_when_its_condition_is_not_spoken_of() -> None:
    """A conversation with the word "fax" never gets the policy for requests by fax."""
    talk = record(user("put it on the fax machine", "mail_draft"))

    versions = [near_duplicates(talk, WORDINGS, (3, 3), seeded(seed)) for seed in range(60)]

    added = {route.id for version in versions if version for route in version.routes} - {
        route.id for route in talk.routes
    }
    assert added
    assert not any(route_id.endswith("_fax") for route_id in added)


def test_a_reworded_description_keeps_abbreviations() -> None:
    """A frame begins with its own capital; SQL stays SQL."""
    query = make_route("sql_query", "sql", "query", "SQL statements that return rows.")

    texts = {reworded_route(query, WORDINGS, (), seeded(seed)).description for seed in range(40)}

    assert len(texts) > 3
    assert all("SQL statements" in text for text in texts)


def test_words_are_replaced_as_a_whole_and_keep_their_capital() -> None:
    """The word "Suggest" becomes "Recommend", "suggestions" stays."""
    route = make_route("a", "a", "", "Suggest books and collect suggestions")

    texts = {reworded_route(route, WORDINGS, (), seeded(seed)).description for seed in range(40)}

    assert "Recommend books and collect suggestions" in texts
    assert all("suggestions" in text for text in texts)


def test_a_description_at_the_limit_is_not_made_longer() -> None:
    """It stays as it is rather than break the rule of policy sets."""
    route = make_route("a", "a", "", "x" * 2000)

    assert {route} == {reworded_route(route, WORDINGS, (), seeded(seed)) for seed in range(10)}


def test_a_copy_whose_id_would_be_too_long_is_not_made() -> None:
    """Ids have a limit."""
    long = make_route("x" * 60, "a", "b", "Something")

    versions = [
        near_duplicates(record(user("hm", "x" * 60), routes=(long,)), WORDINGS, (1, 1), seeded(s)) for s in range(30)
    ]

    assert all(version is None or all(len(route.id) <= 64 for route in version.routes) for version in versions)
    assert None in versions
