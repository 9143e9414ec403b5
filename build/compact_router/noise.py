"""Noise in what the user writes."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from compact_model.inputs import Message
from data.augment.noise import CASINGS, mistyped

TYPING_MISTAKE_SHARE = 0.15
MISTAKE_PER_WORD = 0.1
CASING_SHARE = 0.1
MIN_MISTYPED_LETTERS = 5


def noisy(messages: tuple[Message, ...], random: Random) -> tuple[Message, ...]:
    """Put typing mistakes into the latest message now and then, or write it in another letter case.

    Args:
        messages: Any conversation.
        random: Where the choices come from.

    Returns:
        The conversation, changed or not.
    """
    latest = messages[-1].content
    draw = random.random()
    if draw < TYPING_MISTAKE_SHARE:
        said = [
            mistyped(word, random)
            if word.isalpha() and len(word) >= MIN_MISTYPED_LETTERS and random.random() < MISTAKE_PER_WORD
            else word
            for word in latest.split(" ")
        ]
        latest = " ".join(said)
    elif draw < TYPING_MISTAKE_SHARE + CASING_SHARE:
        change: Callable[[str], str] = CASINGS[random.choice(("lower", "unpunctuated", "no_apostrophes"))]
        latest = change(latest) if change(latest).strip() else latest
    return messages if latest == messages[-1].content else (*messages[:-1], replace(messages[-1], content=latest))
