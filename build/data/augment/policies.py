"""Policy modification: the candidate set grows, shrinks and changes order, while every label stays right."""

from dataclasses import replace
from random import Random

from archrouter.domain.policy import MAX_ROUTE_ID_CHARACTERS, RoutePolicy
from data.augment.drawing import count_between, pick
from data.augment.phrases import Narrowing, Phrases, Wordings
from data.augment.pool import Pool, may_fit
from data.records import Record
from data.texts import words

IN_USE_SHARE = 0.5
"""How often a narrowed copy is made of a route that is right somewhere; else of any route."""

_MIN_ROUTES = 2


def distractors(record: Record, pool: Pool, phrases: Phrases, counts: tuple[int, int], random: Random) -> Record | None:
    """Put in routes of policy sets that have nothing to do with the record's, at random places.

    A turn labelled ``other`` must be thanks, a greeting or a goodbye, because any other request without a route might
    find one among the new ones. None when there is no route that surely fits no turn.
    """
    if any(turn.is_no_match and not phrases.is_social(turn) for turn in record.turns):
        return None
    taken = {route.id for route in record.routes}
    foreign = [
        route
        for name in pool.foreign_sets(record)
        for route in pool.routes(name)
        if route.id not in taken and not may_fit(record.user_texts, route)
    ]
    if not foreign:
        return None
    count = min(len(foreign), count_between(*counts, random))
    routes = list(record.routes)
    for route in random.sample(foreign, count):
        routes.insert(random.randint(0, len(routes)), route)
    return record.changed("distractors", routes=routes)


def near_duplicates(record: Record, wordings: Wordings, counts: tuple[int, int], random: Random) -> Record | None:
    """Put in copies of routes, beside their originals, narrowed by a condition which the conversation does not meet.

    A condition is used only when none of its words occurs in the conversation. None when none can be used.
    """
    said = {word for turn in record.turns for word in words(turn.text)}
    usable = [narrowing for narrowing in wordings.narrowings if said.isdisjoint(narrowing.words)]
    labels = {label for _, label in record.labels}
    in_use = [route for route in record.routes if route.id in labels]
    routes = list(record.routes)
    for _ in range(count_between(*counts, random)):
        originals = in_use if in_use and random.random() < IN_USE_SHARE else record.routes
        original, narrowing = random.choice(originals), pick(usable, random)
        copy = _narrowed(original, narrowing) if narrowing is not None else None
        if copy is not None and all(copy.id != route.id for route in routes):
            routes.insert(routes.index(original) + random.randint(0, 1), copy)
    if len(routes) == len(record.routes):
        return None
    return record.changed("near_duplicates", routes=routes)


def narrowed_set(record: Record, random: Random) -> Record | None:
    """Take away routes that are right at no turn; at least two routes stay. None when nothing can go."""
    used = {label for _, label in record.labels}
    spare = [route.id for route in record.routes if route.id not in used]
    most = min(len(spare), len(record.routes) - _MIN_ROUTES)
    if most < 1:
        return None
    gone = set(random.sample(spare, random.randint(1, most)))
    return record.changed("narrowed_set", routes=[route for route in record.routes if route.id not in gone])


def shuffled(record: Record, random: Random) -> Record | None:
    """Put the routes in another order; None when there is only one, or the order came out the same."""
    routes = list(record.routes)
    random.shuffle(routes)
    return None if tuple(routes) == record.routes else record.changed("shuffled", routes=routes)


def _narrowed(route: RoutePolicy, narrowing: Narrowing) -> RoutePolicy | None:
    route_id = f"{route.id}_{narrowing.suffix}"
    if len(route_id) > MAX_ROUTE_ID_CHARACTERS:
        return None
    return replace(
        route,
        id=route_id,
        action="_".join(part for part in (route.action, narrowing.suffix) if part),
        description=f"{route.description.rstrip('.')}, {narrowing.text}",
    )
