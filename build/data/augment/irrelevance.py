"""Irrelevance injection: requests off the topic, and policy sets that lack the right policy.

A request whose own policy is gone falls back to the policy that covers its domain, and to ``other`` where there is
none (paper, section 3: the domain-level policy is the natural fall-back).
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from random import Random

from archrouter.domain.policy import NO_MATCH_ID, RoutePolicy
from data.augment.drawing import pick
from data.augment.mixing import bridge
from data.augment.phrases import Phrases, Wordings
from data.augment.pool import Pool, may_fit
from data.augment.settings import Overlap
from data.augment.standing import stands_alone
from data.records import Record, Turn, assistant, user
from data.texts import content_stems

NEAR_SIMILARITY = 0.4
"""Share of common content words from which two descriptions may serve the same request."""

_MAX_NAMED = 3


def off_topic(record: Record, pool: Pool, phrases: Phrases, random: Random) -> Record | None:
    """Put in a request that no route of the policy set can serve, from a set that overlaps with none of the record's.

    It becomes a user's turn labelled ``other``, at the beginning, at the end or before a turn that is understood by
    itself. None when there is no such request.
    """
    foreign = pick(pool.foreign_sets(record), random)
    openings = pool.openings(foreign, record.provenance.language) if foreign is not None else []
    source = pick([each for each in openings if not _any_may_fit(each.turns[0], record)], random)
    if source is None:
        return None
    request = user(source.turns[0].text, NO_MATCH_ID)
    turns = record.turns
    places = [0, len(turns), *(index for index, turn in enumerate(turns) if index > 0 and stands_alone(turn))]
    place = random.choice(places)
    refusal = assistant(random.choice(phrases.refusals))
    if place == len(turns):
        turns = (*turns, bridge(turns[-1], phrases, random), request)
    else:
        turns = (*turns[:place], request, refusal, *turns[place:])
    return record.changed("off_topic", turns=turns, sources=[source.id])


def removed_route(record: Record, wordings: Wordings, overlap: Overlap, random: Random) -> Record | None:
    """Take away the right route of some turns, and the routes that may do in its place.

    The labels move to the fall-back, whose description is widened, or to ``other``. None when no turn has a route, or
    no route would be left.
    """
    chosen = pick(_routes_in_use(record), random)
    if chosen is None:
        return None
    return _without(record, _with_stand_ins(record, {chosen.id}, overlap), "removed_route", wordings, random)


def removed_domain(record: Record, wordings: Wordings, overlap: Overlap, random: Random) -> Record | None:
    """Take away a whole domain with the right route of some turns, which then fit none.

    The routes that may do in its place go as well, and the labels become ``other``. None when no turn has a route, or
    no route would be left.
    """
    chosen = pick(_routes_in_use(record), random)
    if chosen is None:
        return None
    domain = {route.id for route in record.routes if route.domain == chosen.domain}
    return _without(record, _with_stand_ins(record, domain, overlap), "removed_domain", wordings, random)


def coarse_domains(record: Record, wordings: Wordings, random: Random) -> Record | None:
    """Leave only the domain's own policy, its description widened, wherever a domain has one.

    The labels of the domain's actions move to it. None when no label would move.
    """
    covered = {route.domain for route in record.routes if route.covers_domain}
    gone = {route.id for route in record.routes if route.action and route.domain in covered}
    if not any(label in gone for _, label in record.labels):
        return None
    return _without(record, gone, "coarse_domains", wordings, random)


def similarity(one: RoutePolicy, other: RoutePolicy) -> float:
    """Say how much of their content words two descriptions share, from 0 to 1."""
    stems, others = content_stems(one.description), content_stems(other.description)
    return len(stems & others) / max(1, len(stems | others))


def _routes_in_use(record: Record) -> list[RoutePolicy]:
    used = {label for _, label in record.labels}
    return [route for route in record.routes if route.id in used]


def _with_stand_ins(record: Record, gone: Collection[str], overlap: Overlap) -> set[str]:
    """Add to routes that are gone what may do for those of them that are right somewhere, and for these again."""
    found = set(gone)
    waiting = [route for route in _routes_in_use(record) if route.id in found]
    while waiting:
        lost = waiting.pop()
        stand_ins = overlap.stand_ins_of(record.policy_set, lost.id)
        near = [
            route
            for route in record.routes
            if route.id not in found
            and (route.id in stand_ins or (route.action and similarity(route, lost) >= NEAR_SIMILARITY))
        ]
        found |= {route.id for route in near}
        waiting += [route for route in near if route in _routes_in_use(record)]
    return found


def _without(
    record: Record, gone: Collection[str], augmentation: str, wordings: Wordings, random: Random
) -> Record | None:
    """Take routes away and move their labels."""
    kept = [route for route in record.routes if route.id not in gone]
    if not kept:
        return None
    fallbacks = {route.domain: route.id for route in reversed(kept) if route.covers_domain}
    moved = {
        route.id: fallbacks.get(route.domain, NO_MATCH_ID) if route.domain else NO_MATCH_ID
        for route in record.routes
        if route.id in gone
    }
    turns = [replace(turn, route=moved.get(turn.route, turn.route)) if turn.route else turn for turn in record.turns]
    routes = [_widened(route, record, moved, wordings, random) for route in kept]
    return record.changed(augmentation, turns=turns, routes=routes)


def _widened(
    route: RoutePolicy, record: Record, moved: Mapping[str, str], wordings: Wordings, random: Random
) -> RoutePolicy:
    """Let the description of a fall-back say that it takes what the routes that are gone took."""
    removed = [each for each in record.routes if moved.get(each.id) == route.id]
    if not removed:
        return route
    if len(removed) > _MAX_NAMED:
        removed = [each for each in removed if each in _routes_in_use(record)][:_MAX_NAMED] or removed[:_MAX_NAMED]
    shuts_out = any(word in route.description.casefold() for word in wordings.excluding)
    form = random.choice(wordings.replaced if shuts_out else wordings.widened)
    text = form.format(
        description=route.description.rstrip("."),
        domain=" ".join(route.domain.replace("_", " ").replace("-", " ").split()),
        removed="; ".join(wordings.core(each.description) for each in removed),
    )
    return replace(route, description=text)


def _any_may_fit(turn: Turn, record: Record) -> bool:
    return any(may_fit([turn.text], route) for route in record.routes)
