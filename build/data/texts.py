"""What the programs here take for the same text, and for words."""

import re
import unicodedata
from functools import lru_cache

_APOSTROPHE = re.compile(r"(?<=\w)['\u2019](?=\w)")
_MARKS = "".join(chr(code) for code in range(0x300, 0x2000) if unicodedata.category(chr(code)).startswith("M"))
"""Vowel signs and the like, which stand inside words of Hindi, Arabic and other scripts but are no letters."""

_NOT_WORD = re.compile(rf"(?:[^\w{_MARKS}]|_)+")
_STEM_CHARACTERS = 5
_MIN_CONTENT_CHARACTERS = 4

_FUNCTION_WORDS_TEXT = """
about above across after again against already also although always among another anybody anyone anything anyway
around asks away based because been before being below between both cannot could does doing done down during each
either else especially even every everything example from general given have having here into instance itself just
kind later least less like made make makes making many matter matters maybe more most much must need needs neither
never none nothing ones only onto other others otherwise over particular person please policy question questions
rather really request requests same shall should some somebody someone something still such than thanks that their
them then there these they thing things this those through topic topics towards under unless until upon user users
very want wants well were what whatever when where whether which while whole whose will with within without would
your yours
"""
_FUNCTION_WORDS = frozenset(_FUNCTION_WORDS_TEXT.split())
"""Words that say nothing of a request's subject, or that descriptions of policies use whatever their subject."""


def normalised(text: str) -> str:
    """Write a text so that layout, letter case and punctuation make no difference. O(characters).

    Returns:
        Its letters and digits in NFKC and case-folded, words divided by single spaces, "that's" as one word; may be
        empty.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NOT_WORD.sub(" ", _APOSTROPHE.sub("", folded)).strip()


def words(text: str) -> tuple[str, ...]:
    """Cut a text into the words of its normalised form.

    Scripts without spaces give one word for each run of letters.
    """
    return tuple(normalised(text).split())


@lru_cache(maxsize=50_000)
def content_stems(text: str) -> frozenset[str]:
    """Take the words that say what a text is about, crudely.

    Returns:
        The first five letters of its words of four and more, without function words of English.
    """
    return frozenset(
        word[:_STEM_CHARACTERS]
        for word in words(text)
        if len(word) >= _MIN_CONTENT_CHARACTERS and word not in _FUNCTION_WORDS
    )
