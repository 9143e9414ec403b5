"""Truncation: the oldest messages are gone, as when a history outgrows what a router reads."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from archrouter.domain.conversation import Role
from data.augment.drawing import pick
from data.augment.phrases import Phrases
from data.augment.standing import stands_alone
from data.records import Record, Turn


def truncated(record: Record, phrases: Phrases, random: Random) -> Record | None:
    """Leave out the oldest messages, up to a user's turn.

    A turn keeps its label when it opens a new subject in words that are understood by themselves, when it comes after
    such a turn with the same label, or when it is thanks and the like; the others become context without a label. None
    when no route would be left as a label.
    """
    places = [index for index, turn in enumerate(record.turns) if index > 0 and turn.role is Role.USER]
    openings = _openings(record.turns)
    rests = [tuple(_sure_labels(record.turns, place, openings, phrases)) for place in places]
    rest = pick([turns for turns in rests if any(turn.has_route for turn in turns)], random)
    return None if rest is None else record.changed("truncated", turns=rest)


def _openings(turns: Sequence[Turn]) -> frozenset[int]:
    """Find the turns that are understood by themselves and are about something else than the turn before."""
    labels = {index: turn.route for index, turn in enumerate(turns) if turn.role is Role.USER}
    return frozenset(
        index for index, label in labels.items() if stands_alone(turns[index]) and labels.get(index - 2) != label
    )


def _sure_labels(turns: Sequence[Turn], place: int, openings: frozenset[int], phrases: Phrases) -> Iterator[Turn]:
    understood: set[str] = set()
    for index, turn in enumerate(turns[place:], start=place):
        if turn.route is not None and index in openings:
            understood.add(turn.route)
        sure = turn.route in understood if turn.has_route else index in openings or phrases.is_social(turn)
        yield turn if sure or turn.route is None else replace(turn, route=None)
