"""Reworded descriptions: the same policies in other words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from archrouter.domain.policy import MAX_DESCRIPTION_CHARACTERS, RoutePolicy
from data.augment.phrases import Wordings
from data.records import Record

FRAME_SHARE = 0.4
"""How often a description that is worded by rule gets a frame as well."""

GIVEN_SHARE = 0.8
"""How often a given alternative is taken where there is one; else the description is worded by rule."""

WORD_SHARE = 0.7
"""How often a word that has another is replaced."""

Alternatives = Mapping[str, Sequence[str]]
"""Other wordings that people wrote, by description."""


def reworded(
    record: Record, wordings: Wordings, alternatives: Alternatives, share: float, random: Random
) -> Record | None:
    """Reword descriptions, keeping their meaning; None when all came out the same.

    Args:
        record: Any conversation.
        wordings: Words and frames for the descriptions that have no given alternative.
        alternatives: Given wordings, by the description they may replace.
        share: Of the routes, from 0 to 1.
        random: Where the choices come from.
    """
    routes = [
        reworded_route(route, wordings, alternatives.get(route.description, ()), random)
        if random.random() < share
        else route
        for route in record.routes
    ]
    return None if tuple(routes) == record.routes else record.changed("reworded", routes=routes)


def reworded_route(route: RoutePolicy, wordings: Wordings, given: Sequence[str], random: Random) -> RoutePolicy:
    """Reword one description, by rule or with one of the given wordings.

    The route stays as it is where no rule applied or the text would be too long.
    """
    if given and random.random() < GIVEN_SHARE:
        return replace(route, description=random.choice(given))
    text = _with_other_words(route.description, wordings, random)
    if text == route.description or random.random() < FRAME_SHARE:
        text = random.choice(wordings.frames).format(wordings.core(text))
    return route if len(text) > MAX_DESCRIPTION_CHARACTERS else replace(route, description=text)


def _with_other_words(text: str, wordings: Wordings, random: Random) -> str:
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, wordings.longest_first))})(?!\w)", re.IGNORECASE)

    def other(match: re.Match[str]) -> str:
        if random.random() >= WORD_SHARE:
            return match[0]
        word = random.choice(wordings.words[match[0].casefold()])
        return word[0].upper() + word[1:] if match[0][0].isupper() else word

    return pattern.sub(other, text)
