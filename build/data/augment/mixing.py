"""Scenario mixing: joined conversations with topic switches, follow-ups and abandoned intents.

Each function gives a longer or other conversation of the same policy set, every turn with the label it had.
"""

from random import Random

from data.augment.drawing import pick
from data.augment.phrases import Phrases
from data.augment.pool import Pool
from data.records import Record, Turn, assistant, user

Turns = tuple[Turn, ...]


def topic_switch(record: Record, pool: Pool, phrases: Phrases, max_turns: int, random: Random) -> Record | None:
    """Let another conversation, which opens with a clear request, follow without a hint.

    The two are joined by a short reply, and have ``max_turns`` messages at most. None when no other fits.
    """
    room = max_turns - len(record.turns) - 1
    other = pick([each for each in pool.companions(record) if len(each.turns) <= room], random)
    if other is None:
        return None
    turns = (*record.turns, bridge(record.turns[-1], phrases, random), *other.turns)
    return record.changed("topic_switch", turns=turns, sources=[other.id])


def abandoned_intent(record: Record, pool: Pool, phrases: Phrases, max_turns: int, random: Random) -> Record | None:
    """Begin with another request that is taken back.

    The turn that takes it back is labelled ``other``: nothing is left to do. None when the record's opening may be
    taken for the abandoned subject, or no other request fits into ``max_turns`` messages.
    """
    others = [each for each in pool.companions(record) if len(each.turns) > 1]
    other = pick(others, random)
    if other is None or not record.turns[0].has_route or len(record.turns) + 4 > max_turns:
        return None
    taken_back = user(random.choice(phrases.abandonments), "other")
    turns = (*other.turns[:2], taken_back, assistant(random.choice(phrases.acknowledgements)), *record.turns)
    return record.changed("abandoned_intent", turns=turns, sources=[other.id])


def follow_up(record: Record, phrases: Phrases, random: Random) -> Record | None:
    """End a conversation at one of its replies and ask for more of the same.

    The new turn has the label of the turn replied to. None when there is no reply to a request that has a route.
    """
    answered = [index for index, turn in enumerate(record.turns[:-1]) if turn.has_route]
    index = pick(answered, random)
    if index is None:
        return None
    more = user(random.choice(phrases.follow_ups), record.turns[index].route)
    return record.changed("follow_up", turns=(*record.turns[: index + 2], more))


def bridge(last: Turn, phrases: Phrases, random: Random) -> Turn:
    """Write a reply that fits any user's turn."""
    return assistant(random.choice(phrases.welcomes if phrases.is_social(last) else phrases.replies))
