"""The words that augmentation puts in, from ``phrases.toml`` and ``wordings.toml``."""

import tomllib
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from data.records import Turn
from data.texts import words

_FOLDER = Path(__file__).parent
_MAX_SOCIAL_WORDS = 7

QUESTION_MARKS = frozenset("?？؟")  # noqa: RUF001 - those of Latin, of Chinese and Japanese, and of Arabic


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Phrases(_Strict):
    """Short turns in one language; ``phrases.toml`` says what each list is for."""

    replies: tuple[str, ...] = Field(min_length=1)
    welcomes: tuple[str, ...] = Field(min_length=1)
    acknowledgements: tuple[str, ...] = Field(min_length=1)
    refusals: tuple[str, ...] = Field(min_length=1)
    follow_ups: tuple[str, ...] = Field(min_length=1)
    abandonments: tuple[str, ...] = Field(min_length=1)
    social: frozenset[str] = Field(min_length=1)

    def is_social(self, turn: Turn) -> bool:
        """Judge whether a turn of the user's without a fitting route would fit none in any policy set. O(characters).

        That is a short turn labelled ``other`` that says thanks, hello or goodbye and asks nothing.
        """
        said = words(turn.text)
        asks = not QUESTION_MARKS.isdisjoint(turn.text)
        return turn.is_no_match and not asks and len(said) <= _MAX_SOCIAL_WORDS and not self.social.isdisjoint(said)


class Narrowing(_Strict):
    """A condition that makes a policy narrower.

    Attributes:
        suffix: Added to the id of the narrowed copy.
        text: Added to its description.
        words: Words of a conversation in which the condition might hold.
    """

    suffix: str = Field(min_length=1)
    text: str = Field(min_length=1)
    words: frozenset[str] = Field(min_length=1)


class Wordings(_Strict):
    """How descriptions are reworded; ``wordings.toml`` says what each member is for."""

    frames: tuple[str, ...] = Field(min_length=1)
    widened: tuple[str, ...] = Field(min_length=1)
    replaced: tuple[str, ...] = Field(min_length=1)
    excluding: tuple[str, ...]
    leads: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    narrowings: tuple[Narrowing, ...] = Field(min_length=1)

    def core(self, description: str) -> str:
        """Take from a description what can stand inside a sentence.

        That is all but its lead and its full stop, the first letter small unless it is an abbreviation's.
        """
        text = description.rstrip(".")
        for lead in self.leads:
            if text.casefold().startswith(lead) and len(text) > len(lead):
                text = text[len(lead) :]
                break
        return text if text[1:2].isupper() else text[0].lower() + text[1:]

    @cached_property
    def longest_first(self) -> tuple[str, ...]:
        """The replaceable words, phrases before the words in them."""
        return tuple(sorted(self.words, key=lambda word: (-len(word), word)))


@cache
def load_phrases() -> Mapping[str, Phrases]:
    """Read the short turns, by language in ISO 639-1."""
    document = tomllib.loads((_FOLDER / "phrases.toml").read_text(encoding="utf-8"))
    return {language: Phrases.model_validate(lists) for language, lists in document.items()}


@cache
def load_wordings() -> Wordings:
    """Read how descriptions are reworded."""
    return Wordings.model_validate(tomllib.loads((_FOLDER / "wordings.toml").read_text(encoding="utf-8")))
