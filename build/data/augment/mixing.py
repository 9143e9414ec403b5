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
    """Let another conversation follow, without a hint.

    Args:
        record: The conversation that comes first, with the routes it was written with.
        pool: Where the second comes from; it opens with a clear request.
        phrases: In the record's language.
        max_turns: Messages of the result at most.
        random: Where the choices come from.

    Returns:
        Both, joined by a short reply; None when no other fits.
    """
    room = max_turns - len(record.turns) - 1
    other = pick([each for each in pool.companions(record) if len(each.turns) <= room], random)
    if other is None:
        return None
    turns = (*record.turns, bridge(record.turns[-1], phrases, random), *other.turns)
    return record.changed("topic_switch", turns=turns, sources=[other.id])


def abandoned_intent(record: Record, pool: Pool, phrases: Phrases, max_turns: int, random: Random) -> Record | None:
    """Begin with another request that is taken back.

    Args:
        record: The conversation that follows; with the routes it was written with.
        pool: Where the abandoned request comes from.
        phrases: In the record's language.
        max_turns: Messages of the result at most.
        random: Where the choices come from.

    Returns:
        The other request, its reply, a turn that takes it back (``other``: nothing is left to do), and the record.
        None when the record's opening may be taken for the abandoned subject, or no other request fits.
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

    Args:
        record: Any conversation.
        phrases: In its language.
        random: Where the choices come from.

    Returns:
        The conversation up to a reply, and a turn with the label of the turn replied to. None when there is no reply
        to a request that has a route.
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
