"""Reads the train split of the project's own corpus as taxonomies, one for each policy set."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from compact_model.inputs import Message
from data.augment.settings import Overlap
from data.corpus_cards import Split
from data.records import Record

from archrouter.domain.policy import RoutePolicy
from compact_router.public_sources import is_social
from compact_router.taxonomy import OTHER, OWN, Action, Domain, Example, Taxonomy

DOMAINS_SUFFIX = ".domains.yaml"


def read_own_corpus(folder: Path, split: Split, overlap: Overlap) -> tuple[Taxonomy, ...]:
    """Make a taxonomy of each policy set in a split, in the order of names.

    Args:
        folder: The corpus' sources, for the descriptions of whole domains.
        split: Its records and wordings.
        overlap: Which of a set's routes may do for each other.
    """
    by_set: dict[str, list[Record]] = {}
    for record in split.records:
        by_set.setdefault(record.policy_set, []).append(record)
    return tuple(
        _taxonomy(name, records, split.wordings[name], _wholes(folder / f"{name}{DOMAINS_SUFFIX}"), overlap)
        for name, records in sorted(by_set.items())
    )


def _taxonomy(
    name: str,
    records: Sequence[Record],
    wordings: Mapping[str, Sequence[str]],
    wholes: Mapping[str, Sequence[str]],
    overlap: Overlap,
) -> Taxonomy:
    routes = {route.id: route for route in records[0].routes}
    actions: dict[str, list[Action]] = {}
    rests: dict[str, tuple[str, ...]] = {}
    for route in routes.values():
        texts = (route.description, *wordings.get(route.id, ()))
        if route.action:
            actions.setdefault(route.domain, []).append(Action(route.domain, route.action, texts))
        else:
            rests[route.domain] = texts
    return Taxonomy(
        name=name,
        source=OWN,
        domains=tuple(
            Domain(domain, tuple(each), tuple(wholes.get(domain, ())), rests.get(domain, ()))
            for domain, each in actions.items()
        ),
        examples=tuple(example for record in records for example in _examples(record, routes)),
        stand_ins=tuple(
            frozenset((routes[each].domain, routes[each].action) for each in group if each in routes)
            for group in overlap.stand_ins.get(name, ())
        ),
    )


def _examples(record: Record, routes: Mapping[str, RoutePolicy]) -> list[Example]:
    messages = tuple(Message(turn.role.value, turn.text) for turn in record.turns)
    examples, language = [], record.provenance.language
    for index, label in record.labels:
        shown = messages[: index + 1]
        if label == OTHER:
            social = is_social(shown, language)
            examples.append(Example(record.id, shown, OTHER, is_social=social, language=language))
        else:
            route = routes[label]
            examples.append(Example(record.id, shown, route.domain, route.action or None, language=language))
    return examples


def _wholes(path: Path) -> dict[str, list[str]]:
    """Read descriptions of whole domains: a domain's name to a text, or to a list of them."""
    document = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {domain: [texts] if isinstance(texts, str) else list(texts) for domain, texts in document.items()}
