"""Typos and rewording."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archrouter.evaluation.wording import REWORDED_PREFIX, SYNONYMS, reworded, with_typo


def _typo(text: str, seed: int) -> str:
    return with_typo(text, Random(seed))  # noqa: S311 - reproducible data, not a secret


@given(st.text(), st.integers())
def test_typo_changes_at_most_two_neighbouring_letters(text: str, seed: int) -> None:
    """What is before and behind one place stays, and the length changes by one letter at most."""
    typed = _typo(text, seed)

    before = next((place for place, (one, other) in enumerate(zip(text, typed, strict=False)) if one != other), None)
    if before is None:
        before = min(len(text), len(typed))
    behind = max(0, len(text) - before - 2)
    assert abs(len(text) - len(typed)) <= 1
    assert typed.endswith(text[len(text) - behind :] if behind else "")


@given(st.from_regex(r"[a-z]{4,10}( [a-z]{4,10}){0,5}", fullmatch=True), st.integers())
def test_typo_is_always_made_where_there_is_a_word(text: str, seed: int) -> None:
    """A message with a word of four letters never stays as it is."""
    assert text != _typo(text, seed)


def test_typos_are_of_every_kind() -> None:
    """Over many draws letters are dropped, doubled, replaced by a neighbouring key, and swapped."""
    typed = {_typo("word", seed) for seed in range(200)}

    assert {"wrd", "woord", "wprd", "owrd"} <= typed


@pytest.mark.parametrize("text", ["", "?!", "1234 5678", "a b c"])
def test_message_without_words_stays(text: str) -> None:
    """Where there is no word of two letters, there is nothing to mistype."""
    assert text == _typo(text, 0)


def test_short_words_are_mistyped_where_there_is_no_long_one() -> None:
    """Numbers and signs are left alone even then."""
    assert _typo("12 ok 34", 0) in {"12 o 34", "12 okk 34", "12 oj 34", "12 ol 34", "12 ko 34"}


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ("Help the user write a letter.", "assist the person compose a letter"),
        ("SQL questions about joins", "SQL queries concerning joins"),
        ("A user asks", "a person asks"),
        ("", ""),
    ],
)
def test_description_is_said_otherwise(description: str, said: str) -> None:
    """Known words are replaced, capitals of names stay, and the prefix stands in front."""
    assert REWORDED_PREFIX + said == reworded(description)


def test_no_synonym_is_replaced_again() -> None:
    """Rewording is one step: no word of the table means itself."""
    assert all(word != synonym for word, synonym in SYNONYMS.items())
