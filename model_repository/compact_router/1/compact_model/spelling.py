"""Puts typing mistakes right before a message is read: a mistyped word falls into pieces that mean nothing."""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

MIN_LETTERS = 5
"""Shorter words are one letter away from too many others, and many are names or abbreviations."""

MIN_COUNT = 1_000_000
"""Occurrences of a word, in the corpus that words.txt was counted on, for another to be taken as a mistyping of it."""

MAX_UNKNOWN_SHARE = 0.34
MAX_UNKNOWN_COUNT = 30
"""With more unknown words than either a message is in another language, or something pasted; and looking words up takes
time that a caller should not choose."""

ENGLISH_COUNT = 100_000_000
MIN_ENGLISH_SHARE = 0.4
"""A message is taken for English when so many of its words are such frequent ones, and all are of its letters alone:
768 words, of which most sentences of English have as many. Words of other languages are often one letter away from
English ones."""

_ALPHABET = (*"abcdefghijklmnopqrstuvwxyz'",)
"""What words.txt is written with."""

_LETTERS = re.compile(r"[^\W\d_]{2,}")
_WORD = re.compile(r"(?<![\w./\\@:=#$'-])[A-Za-z]+(?![\w/\\@:=('-]|\.\w)")
"""Letters between spaces or punctuation: no part of a path, an address, an option, a name with digits, or code."""


class Spelling:
    """Knows the words of English by words.txt, and further ones by what it is told."""

    def __init__(self, words: Path) -> None:
        """Read the words.

        Args:
            words: One word and its count, separated by a space, on each line.

        Raises:
            ValueError: When the file is not there or is empty.
        """
        try:
            fields = words.read_text(encoding="utf-8").split()
            self._counts = dict(zip(fields[::2], map(int, fields[1::2]), strict=True))
        except (OSError, ValueError) as error:
            msg = f"{words.name}: no file of words and counts ({error}); put the folder back as it was"
            raise ValueError(msg) from error
        if not self._counts:
            msg = f"{words.name}: there is no word in it; put the folder back as it was"
            raise ValueError(msg)

    def correct(self, text: str, is_known: Callable[[str], bool]) -> str:
        """Replace each unknown word that is one mistake away from a frequent one.

        Args:
            text: A message.
            is_known: Whether a word in small letters, missing in words.txt, is one all the same.

        Returns:
            The message with other words in small letters in their place; most often the message itself, and always
            when it does not look like English.
        """
        if not self._looks_english(text):
            return text
        words = list(_WORD.finditer(text))
        mistyped = (word for word in words if not self._is_word(word[0].lower(), is_known))
        unknown = list(islice(mistyped, MAX_UNKNOWN_COUNT + 1))  # the rest of a long paste is not looked at
        if len(unknown) > min(MAX_UNKNOWN_COUNT, max(1, MAX_UNKNOWN_SHARE * len(words))):
            return text
        parts, end = [], 0
        for word in unknown:
            parts += [text[end : word.start()], self._meant(word[0])]
            end = word.end()
        return "".join((*parts, text[end:]))

    def _looks_english(self, text: str) -> bool:
        words = [word.lower() for word in _LETTERS.findall(text)]
        if not text.isascii() and any(not word.isascii() for word in words):
            return False
        frequent: int = sum(self._counts.get(word, 0) >= ENGLISH_COUNT for word in words)
        return frequent > 0 and frequent >= MIN_ENGLISH_SHARE * len(words)

    def _is_word(self, word: str, is_known: Callable[[str], bool]) -> bool:
        forms = (word, word.removesuffix("s"))
        return len(word) < MIN_LETTERS or any(form in self._counts or is_known(form) for form in forms)

    def _meant(self, word: str) -> str:
        """Give the most frequent word that a likely mistake makes this one of."""
        found = filter(self._counts.__contains__, likely_words(word.lower()))
        meant = max(found, key=self._counts.__getitem__, default="")
        return meant if self._counts.get(meant, 0) >= MIN_COUNT else word


def likely_words(typed: str) -> Iterator[str]:
    """Take back each mistake that people make when they type: looking them all up needs no index of the words.

    Args:
        typed: A word in small letters, at least two.

    Yields:
        What may have been meant, most of it no word, some twice. The first letter stays, and a letter goes only beside
        its like: few type a stranger into a word, and ``gmail`` is not ``gail``.
    """
    for place in range(1, len(typed)):
        head, letter, tail = typed[:place], typed[place], typed[place + 1 :]
        yield from [head + other + tail for other in _ALPHABET]  # one for another
        yield from [head + other + letter + tail for other in _ALPHABET]  # left out
        if tail:
            yield head + tail[0] + letter + tail[1:]
        if letter == head[-1]:
            yield head + tail
    yield from [typed + other for other in _ALPHABET]
