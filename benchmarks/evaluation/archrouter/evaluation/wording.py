"""Small changes of wording that leave the meaning alone: one typo in a message, a description said otherwise. Pure."""

import re
from random import Random

_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_SHORT_WORD = re.compile(r"[^\W\d_]{2,3}")

_KEYBOARD_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    for row in _KEYBOARD_ROWS
    for place, letter in enumerate(row)
}

REWORDED_PREFIX = "Meant for messages about this: "

SYNONYMS = {
    "about": "concerning",
    "allow": "permit",
    "ask": "enquire",
    "asking": "enquiring",
    "begin": "start",
    "buy": "purchase",
    "buying": "purchasing",
    "cancel": "call off",
    "changing": "altering",
    "choose": "pick",
    "choosing": "picking",
    "create": "make",
    "creating": "making",
    "explain": "clarify",
    "explaining": "clarifying",
    "find": "look up",
    "finding": "looking up",
    "fix": "repair",
    "fixing": "repairing",
    "get": "obtain",
    "help": "assist",
    "improve": "enhance",
    "improving": "enhancing",
    "information": "details",
    "problem": "difficulty",
    "problems": "difficulties",
    "question": "query",
    "questions": "queries",
    "send": "dispatch",
    "someone": "somebody",
    "user": "person",
    "want": "wish",
    "wants": "wishes",
    "write": "compose",
}
"""What a reworded description says instead: whole words in lower case, none of which often means something else."""

_WORD = re.compile(r"\b[a-z]+\b")


def with_typo(text: str, random: Random) -> str:
    """Make one typing mistake.

    A word of at least four letters is chosen, or a shorter one where there is none, and in it a letter other than the
    first: it is dropped, typed twice, replaced by a neighbour on a QWERTY keyboard, or changes places with the letter
    before it.

    Args:
        text: A message.
        random: Decides where and what.

    Returns:
        The message with one change; the same message when it has no word of two letters.
    """
    words = list(_LONG_WORD.finditer(text)) or list(_SHORT_WORD.finditer(text))
    if not words:
        return text
    word = random.choice(words)
    place = random.randrange(word.start() + 1, word.end())
    before, letter = text[place - 1], text[place]
    ways = [before, before + 2 * letter]
    neighbours = _NEIGHBOURS.get(letter.lower())
    if neighbours:
        key = random.choice(neighbours)
        ways.append(before + (key.upper() if letter.isupper() else key))
    if before != letter:
        ways.append(letter + before)
    return text[: place - 1] + random.choice(ways) + text[place + 1 :]


def reworded(description: str) -> str:
    """Give a description the same meaning in other words.

    The words of `SYNONYMS` are replaced, the final stop goes, the first letter becomes small where a small letter or a
    space follows, and `REWORDED_PREFIX` stands in front.
    """
    text = description.strip().removesuffix(".")
    if text[1:2].islower() or text[1:2] == " ":
        text = text[0].lower() + text[1:]
    return REWORDED_PREFIX + _WORD.sub(lambda word: SYNONYMS.get(word[0], word[0]), text)
