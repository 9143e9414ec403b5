"""Noise in what the user writes: typing mistakes and letter case. Code, logs and addresses stay as they are."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from archrouter.domain.conversation import Role
from data.records import Record

MIN_WORD_LETTERS = 5
"""A mistake in a shorter word may make another word of it."""

MAX_SHOUTED_WORDS = 15
"""People shout short messages."""

_WORD = re.compile(r"[^\W\d_]+")
_PROSE = re.compile(r"[^{}<>=;`|\\/_@#$~^*\[\]]*")
_LETTERS = re.compile(r"[a-z]+")
_NEIGHBOURS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk",
    "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et", "s": "ad", "t": "ry",
    "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip
"""Keys beside a key in the rows of a QWERTY keyboard."""


def typos(record: Record, share: float, random: Random) -> Record | None:
    """Put typing mistakes into the user's messages; None when none came about.

    ``share`` is that of the words of at least `MIN_WORD_LETTERS` letters, from 0 to 1. Scripts without letter case,
    which are not typed letter by letter, stay as they are.
    """

    def mistyped_now_and_then(match: re.Match[str]) -> str:
        word = match[0]
        typed_by_letter = len(word) >= MIN_WORD_LETTERS and word.lower() != word.upper()
        return mistyped(word, random) if typed_by_letter and random.random() < share else word

    return _with_user_lines(record, "typos", lambda line: _WORD.sub(mistyped_now_and_then, line))


def casing(record: Record, random: Random) -> Record | None:
    """Write the user's messages all small, without punctuation at line ends, without apostrophes, or shouted.

    None when they already were so, or are too long to be shouted.
    """
    style = random.choice(list(CASINGS))
    if style == "upper" and any(len(text.split()) > MAX_SHOUTED_WORDS for text in record.user_texts):
        return None
    return _with_user_lines(record, f"casing:{style}", CASINGS[style])


def mistyped(word: str, random: Random) -> str:
    """Make one typing mistake in a word of at least three letters, not at its first one.

    Two letters are swapped, or one is left out, doubled, or replaced by a neighbour on the keyboard.
    """
    place = random.randint(1, len(word) - 2)
    before, letter, after = word[:place], word[place], word[place + 1 :]
    kind = random.choice(("swapped", "left out", "doubled", "neighbour"))
    if kind == "swapped":
        return before + after[0] + letter + after[1:]
    if kind == "left out":
        return before + after
    if kind == "neighbour" and _LETTERS.fullmatch(letter):
        return before + random.choice(_NEIGHBOURS[letter]) + after
    return before + letter * 2 + after


CASINGS: Mapping[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "unpunctuated": lambda line: line.rstrip(".!?,"),
    "no_apostrophes": lambda line: line.replace("'", "").replace("’", ""),  # noqa: RUF001 - people type both
}
"""Styles of writing, each a change of one line."""


def _with_user_lines(record: Record, augmentation: str, change: Callable[[str], str]) -> Record | None:
    """Change the lines of prose in the user's messages; a change that would leave a message empty is not made."""
    turns = []
    for turn in record.turns:
        text = turn.text
        if turn.role is Role.USER:
            text = "\n".join(change(line) if _PROSE.fullmatch(line) else line for line in turn.text.split("\n"))
        turns.append(replace(turn, text=text if text.strip() else turn.text))
    return None if tuple(turns) == record.turns else record.changed(augmentation, turns=turns)
