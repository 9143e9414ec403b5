"""Conversations that put a policy set to the test, and what is made of them by rule."""

from archrouter.domain.conversation import Message, Role
from archrouter.workbench.policy_cases import PolicyCase, Source, halves, neutral_requests
from archrouter.workbench.policy_proposals import boundary_words, first_clause


def _case(text: str, expected: str = "a") -> PolicyCase:
    return PolicyCase((Message(Role.USER, text),), Source.SUITE, expected)


def test_bank_covers_many_topics() -> None:
    """The requests that come with the project are short, distinct and evenly dealt to their topics."""
    bank = neutral_requests()

    assert 120 == len({case.text for case in bank})
    assert 24 == len({case.topic for case in bank})
    assert all(len(case.text) < 80 for case in bank)


def test_halves_share_no_text() -> None:
    """Each route's conversations are dealt in turns; those with the same words stay together."""
    cases = [_case("one"), _case("two"), _case("One "), _case("three", "b"), _case("four", "b")]

    learn_from, judge_by = halves(cases)

    assert ["one", "One ", "three"] == [case.text for case in learn_from]
    assert ["two", "four"] == [case.text for case in judge_by]


def test_boundary_words_tell_apart() -> None:
    """Words that own conversations share and others lack, without what is said already or said once."""
    own = [_case("courier brings parcel today"), _case("courier parcel"), _case("courier parcel maybe")]
    others = [_case("parcel packed"), _case("parcel again")]

    assert ("courier",) == boundary_words(own, others, "where it is today")
    assert () == boundary_words(own, others, "the courier")


def test_first_clause() -> None:
    """A description is cut at its first border after three words; one without a border stays."""
    assert "Tracking of a parcel" == first_clause("Tracking of a parcel, where it is. And more")
    assert "Short, but then it goes on" == first_clause("Short, but then it goes on (really)")
    assert "No border here" == first_clause("No border here")
