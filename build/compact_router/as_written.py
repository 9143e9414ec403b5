"""Held-out domains in the policy sets they stand in, with their turns as labelled: nothing left out or reworded.

What is drawn for training is harder on purpose (views.py). This is what the authors of the sources asked: each set of
actions, and each set of whole domains where the source has one.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from random import Random

from compact_model.inputs import Candidate
from data.augment.drawing import seeded

from compact_router.slots import Turn
from compact_router.taxonomy import OTHER, OWN, Domain, Example, Taxonomy, Unit
from compact_router.views import COARSE, FINE, View

TURNS_PER_SOURCE = 300
"""Turns drawn from each source in a fold, so that none drowns the others."""

TURNS_PER_VIEW = 10


def views_as_written(
    taxonomies: Sequence[Taxonomy],
    held_out: Collection[Unit],
    uses: Callable[[Example], bool],
    fold: int,
    turns_per_source: int = TURNS_PER_SOURCE,
) -> list[View]:
    """Draw turns of a fold's held-out domains, `TURNS_PER_VIEW` to a view; the same ones for the same fold."""
    sets = list(_sets(taxonomies, held_out))
    views: list[View] = []
    for source in sorted({taxonomy.source for taxonomy, _, _ in sets}):
        own = [each for each in sets if each[0].source == source]
        count = -(-turns_per_source // len(own))
        for taxonomy, domains, kind in own:
            views += _draw(taxonomy, domains, kind, uses, count, seeded("as written", fold, taxonomy.name, kind))
    return views


def _sets(
    taxonomies: Sequence[Taxonomy], held_out: Collection[Unit]
) -> Iterator[tuple[Taxonomy, tuple[Domain, ...], str]]:
    for taxonomy in taxonomies:
        domains = tuple(each for each in taxonomy.domains if Unit(taxonomy.name, each.name) in held_out)
        if sum(len(each.actions) for each in domains) > 1:
            yield taxonomy, domains, FINE
        if taxonomy.source != OWN and len(domains) > 1 and all(each.wholes for each in domains):
            yield taxonomy, domains, COARSE


def _draw(
    taxonomy: Taxonomy,
    domains: Sequence[Domain],
    kind: str,
    uses: Callable[[Example], bool],
    count: int,
    random: Random,
) -> Iterator[View]:
    candidates = tuple(_fine(domains) if kind == FINE else (_candidate(each, "", each.wholes[0]) for each in domains))
    place = {(each.domain, each.action): index for index, each in enumerate(candidates)}
    turns = [
        Turn(example.conversation_id, example.messages, label, taxonomy.source)
        for example in taxonomy.examples
        if uses(example) and not example.is_offer and (label := _label(example, place, kind)) is not None
    ]
    drawn = random.sample(turns, min(count, len(turns)))
    for start in range(0, len(drawn), TURNS_PER_VIEW):
        yield View(kind, candidates, tuple(drawn[start : start + TURNS_PER_VIEW]))


def _label(example: Example, place: dict[tuple[str, str], int], kind: str) -> int | None:
    """Find the right candidate; None for a turn of a domain that is not in the set, or of an action nobody knows."""
    if example.domain == OTHER:
        return len(place)
    if kind == COARSE:
        return place.get((example.domain, ""))
    return place.get((example.domain, example.action or "")) if example.is_known_exactly else None


def _fine(domains: Sequence[Domain]) -> Iterator[Candidate]:
    for domain in domains:
        if domain.rests:
            yield _candidate(domain, "", domain.rests[0])
        for action in domain.actions:
            yield _candidate(domain, action.name, action.descriptions[0])


def _candidate(domain: Domain, action: str, description: str) -> Candidate:
    return Candidate(f"{domain.name}_{action}" if action else domain.name, domain.name, action, description)
