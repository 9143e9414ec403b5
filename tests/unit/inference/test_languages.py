"""The kept identifier against requests in eleven languages, written for this project."""

import json
from pathlib import Path

import pytest

from archrouter.inference.compact import unread_language

LANGUAGES = Path(__file__).parents[3] / "benchmarks" / "data" / "languages"
ENGLISH = ("en",)
CODES = {
    "arabic": "ar",
    "chinese": "zh",
    "english": "en",
    "french": "fr",
    "german": "de",
    "hindi": "hi",
    "italian": "it",
    "japanese": "ja",
    "polish": "pl",
    "portuguese": "pt",
    "spanish": "es",
}


def requests_in(language: str) -> list[str]:
    """Read what users ask."""
    lines = (LANGUAGES / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["messages"][-1]["content"] for line in lines]


def test_no_request_in_english_is_taken_for_another_language() -> None:
    """A warning that cries wolf is read by nobody."""
    assert {""} == {unread_language(text, ENGLISH) for text in requests_in("english")}


@pytest.mark.parametrize("language", sorted(CODES.keys() - {"english"}))
def test_most_requests_in_other_languages_are_named(language: str) -> None:
    """More than eight of ten, and nearly all that are named are named right."""
    named = [unread_language(text, ENGLISH) for text in requests_in(language)]

    assert sum(map(bool, named)) >= 0.85 * len(named)
    assert named.count(CODES[language]) >= 0.95 * sum(map(bool, named))


def test_what_the_model_reads_is_not_told() -> None:
    """A model of several languages is asked for each; one of so many that nobody need ask has no list."""
    text = "où est mon colis, s'il vous plaît ?"

    assert ["fr", "", ""] == [unread_language(text, languages) for languages in (ENGLISH, ("en", "fr"), ())]


@pytest.mark.parametrize("text", ["网站今天特别慢", "هل دراجتي جاهزة؟"])
def test_which_language_it_is_may_be_open(text: str) -> None:
    """Chinese of whatever kind is no English, nor is Arabic or Persian."""
    assert unread_language(text, ENGLISH)


@pytest.mark.parametrize("text", ["", "ok", "pizza", "12345 67890!", "\ud800 \ud800", "\n \n"])
def test_what_tells_nothing_is_not_named(text: str) -> None:
    """Words that several languages have, and no words."""
    assert "" == unread_language(text, ENGLISH)


def test_what_is_no_text_hides_no_language() -> None:
    """A lone surrogate breaks nothing."""
    assert "fr" == unread_language("où est mon colis \ud800, s'il vous plaît ?", ENGLISH)


def test_a_long_message_is_known_by_its_beginning() -> None:
    """Lines and length make no difference."""
    assert "fr" == unread_language("Où est mon colis ?\nIl devait arriver hier.\n" + "0" * 1_000_000, ENGLISH)
