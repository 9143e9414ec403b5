"""Applies the changes to the records of a folder, each by its probability, all drawn from one seed."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random

from archrouter.domain.policy import RoutePolicy
from data.augment import cutting, irrelevance, mixing, naming, noise, policies, wording
from data.augment.drawing import seeded
from data.augment.phrases import Phrases, Wordings
from data.augment.pool import Pool
from data.augment.settings import Amounts, Overlap, Settings
from data.records import Record, granularity_of

_DIGEST_CHARACTERS = 10


@dataclass(frozen=True, slots=True)
class Material:
    """What the changes draw on.

    Attributes:
        pool: Other conversations and policy sets.
        phrases: Short turns by language.
        wordings: How descriptions are reworded by rule.
        alternatives: Given other wordings, by description.
        amounts: How much a change changes.
        overlap: Which policy sets and routes may do for each other.
    """

    pool: Pool
    phrases: Mapping[str, Phrases]
    wordings: Wordings
    alternatives: wording.Alternatives
    amounts: Amounts
    overlap: Overlap


Change = Callable[[Record, Material, Random], Record | None]


def _with_phrases(change: Callable[[Record, Material, Phrases, Random], Record | None]) -> Change:
    """Leave a change out for languages without phrases."""

    def spoken(record: Record, material: Material, random: Random) -> Record | None:
        phrases = material.phrases.get(record.provenance.language)
        return None if phrases is None else change(record, material, phrases, random)

    return spoken


CHANGES: Mapping[str, Change] = {
    "topic_switch": _with_phrases(
        lambda record, m, phrases, random: mixing.topic_switch(record, m.pool, phrases, m.amounts.max_turns, random)
    ),
    "abandoned_intent": _with_phrases(
        lambda record, m, phrases, random: mixing.abandoned_intent(record, m.pool, phrases, m.amounts.max_turns, random)
    ),
    "follow_up": _with_phrases(lambda record, _, phrases, random: mixing.follow_up(record, phrases, random)),
    "distractors": _with_phrases(
        lambda record, m, phrases, random: policies.distractors(record, m.pool, phrases, m.amounts.distractors, random)
    ),
    "near_duplicates": lambda record, m, random: policies.near_duplicates(
        record, m.wordings, m.amounts.near_duplicates, random
    ),
    "removed_route": lambda record, m, random: irrelevance.removed_route(record, m.wordings, m.overlap, random),
    "removed_domain": lambda record, m, random: irrelevance.removed_domain(record, m.wordings, m.overlap, random),
    "coarse_domains": lambda record, m, random: irrelevance.coarse_domains(record, m.wordings, random),
    "narrowed_set": lambda record, _, random: policies.narrowed_set(record, random),
    "off_topic": _with_phrases(
        lambda record, m, phrases, random: irrelevance.off_topic(record, m.pool, phrases, random)
    ),
    "truncated": _with_phrases(lambda record, _, phrases, random: cutting.truncated(record, phrases, random)),
    "reworded": lambda record, m, random: wording.reworded(
        record, m.wordings, m.alternatives, m.amounts.reworded_share, random
    ),
    "renamed": lambda record, _, random: naming.renamed(record, random),
    "typos": lambda record, m, random: noise.typos(record, m.amounts.typo_share, random),
    "casing": lambda record, _, random: noise.casing(record, random),
    "shuffled": lambda record, _, random: policies.shuffled(record, random),
}
"""Every change by its name, in the order they are tried.

The order keeps labels right. Conversations are joined while they still have the routes they were written with. Routes
of other policy sets come in before anything turns a label into ``other``, since such a turn might fit one of them.
Requests off the topic come after all changes of the policy set, so that they are held against the routes that are
really there. Rewording and renaming come after everything that compares descriptions or domains.
"""


def augment(records: Iterable[Record], settings: Settings, material: Material) -> Iterator[Record]:
    """Make changed versions of records.

    Yields:
        For each record the record itself, where they are kept, then its versions, each at most once. The result depends
        on the arguments alone, and each version on its own record, the pool and the seed, not on the others.
    """
    for record in records:
        if settings.keep_originals:
            yield record
        seen = {(record.turns, record.routes)}
        for copy in range(1, settings.copies + 1):
            version = changed(record, settings, material, seeded(settings.seed, record.id, copy))
            if (version.turns, version.routes) not in seen:
                seen.add((version.turns, version.routes))
                yield finished(version, record, copy, settings.seed)


def changed(record: Record, settings: Settings, material: Material, random: Random) -> Record:
    """Try every change once, each with its probability; the record stays as it is when none could be made."""
    for name, change in CHANGES.items():
        if random.random() < getattr(settings.probability, name):
            record = change(record, material, random) or record
    return record


def finished(version: Record, record: Record, copy: int, seed: int) -> Record:
    """Give the numbered version of a record its own id, name its policy set after the routes, and note the seed."""
    routes_changed = version.routes != record.routes
    return replace(
        version,
        id=f"{record.id}~{copy}",
        policy_set=f"{record.policy_set}~{_digest(version.routes)}" if routes_changed else record.policy_set,
        granularity=granularity_of(version.routes) if routes_changed else record.granularity,
        provenance=replace(
            version.provenance, seed=seed, sources=tuple(dict.fromkeys((record.id, *version.provenance.sources)))
        ),
    )


def count_by_change(records: Iterable[Record]) -> dict[str, int]:
    """Count in how many records each change was made, in the order of `CHANGES`, those never made left out."""
    made = [augmentation.split(":")[0] for record in records for augmentation in record.provenance.augmentations]
    known = [*CHANGES, *sorted(set(made) - CHANGES.keys())]
    return {name: made.count(name) for name in known if name in made}


def _digest(routes: Iterable[RoutePolicy]) -> str:
    text = json.dumps([[route.id, route.domain, route.action, route.description] for route in routes])
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
