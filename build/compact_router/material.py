"""All that is learned from, put together."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data.augment.drawing import seeded
from data.augment.phrases import load_wordings
from data.augment.settings import read_settings
from data.seed_corpus import SOURCES, TRAIN_SPLIT, read_splits

from compact_router.as_written import views_as_written
from compact_router.neighbours import Neighbours
from compact_router.own_corpus import read_own_corpus
from compact_router.public_sources import read_public_sources
from compact_router.services import SERVICES, read_services
from compact_router.services import SOURCE as OF_SERVICES
from compact_router.talk import ENGLISH, WORDINGS, Talk
from compact_router.taxonomy import OTHER, OWN, Example, Taxonomy, Unit, units_of
from compact_router.views import View, ViewSampler
from compact_router.wordings import Writer

AUGMENT_SETTINGS = Path(__file__).parents[1] / "data" / "augment" / "default.toml"

VIEW_WEIGHTS = {OWN: 0.28, OF_SERVICES: 0.46, "clinc": 0.1, "sgd": 0.06, "banking77": 0.05, "hwu64": 0.05}
"""Share of the policy sets by the source of their first domain, so that SGD's many turns do not drown the rest."""

NEW_CONVERSATION_SHARE = 0.1
"""Conversations of the domains trained on that are held out beside the domains of a fold."""

TRAINED_ON, OF_NEW_DOMAINS, OF_KNOWN_DOMAINS = "trained on", "of new domains", "of known domains"

FOLD_COUNT = 4
_FOLD_OF_PUBLIC_DOMAIN = {
    0: "clinc:banking banking77:card_issuing banking77:card_security banking77:topup banking77:account sgd:bank",
    1: (
        "clinc:dining hwu64:cooking hwu64:takeaway hwu64:recommendation sgd:restaurant sgd:lodging sgd:event "
        "sgd:cinema sgd:sightseeing"
    ),
    2: "clinc:auto hwu64:transport sgd:bus sgd:ride sgd:dentist sgd:doctor",
    3: "clinc:work clinc:assistant hwu64:calendar hwu64:email hwu64:news hwu64:social sgd:calendar",
}
"""Domains of one theme are in one fold, whatever their source; what this project wrote is divided by policy set."""


def add_material_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--sources``, ``--corpus``, ``--services`` and ``--settings``, which say where the material is."""
    parser.add_argument("--sources", type=Path, help="folder of the public training sources (default: do without)")
    parser.add_argument("--corpus", type=Path, default=SOURCES, help="sources of the own corpus (default: this tree's)")
    parser.add_argument("--services", type=Path, default=SERVICES, help="made-up services (default: this tree's)")
    parser.add_argument(
        "--settings", type=Path, default=AUGMENT_SETTINGS, help="of `data augment` (default: this tree's)"
    )


def read_material(
    train_sources: Path | None,
    corpus: Path = SOURCES,
    settings: Path = AUGMENT_SETTINGS,
    services: Path | None = SERVICES,
    split: str = TRAIN_SPLIT,
    *,
    is_english: bool = False,
) -> tuple[Taxonomy, ...]:
    """Read the public training sources, where a folder of them is given, and a split of what this project wrote.

    With ``is_english`` what users write in other languages is left out: an encoder that cannot read it only learns
    from it to find no match.
    """
    found = next(each for each in read_splits(corpus) if each.name == split)
    own = read_own_corpus(corpus, found, read_settings(settings).overlap)
    public = read_public_sources(train_sources, WORDINGS) if train_sources is not None else ()
    made_up = read_services(services, is_held_out=split != TRAIN_SPLIT) if services is not None else ()
    material = (*public, *own, *made_up)
    return tuple(replace(each, examples=_in_english(each.examples)) for each in material) if is_english else material


def _in_english(examples: Sequence[Example]) -> tuple[Example, ...]:
    return tuple(example for example in examples if example.language == ENGLISH)


def fold_of(taxonomies: Sequence[Taxonomy]) -> dict[Unit, int]:
    """Divide the domains for cross-validation: each gets a fold from 0 to `FOLD_COUNT` - 1."""
    public = {Unit(*name.split(":")): fold for fold, names in _FOLD_OF_PUBLIC_DOMAIN.items() for name in names.split()}
    number: dict[str, int] = {}
    for source in (OWN, OF_SERVICES):
        number |= {name: at for at, name in enumerate(each.name for each in taxonomies if each.source == source)}
    return {
        unit: public[unit] if unit in public else number[unit.taxonomy] % FOLD_COUNT for unit, _ in units_of(taxonomies)
    }


AS_WRITTEN, NEW_DOMAINS, NEW_CONVERSATIONS = PARTS = ("as_written", "new_domains", "new_conversations")
"""What a fold is measured on; its files are named so."""

DEV_SPLIT, DEV_SETS, DEV_AS_WRITTEN = "dev", "dev_sets", "dev_as_written"
"""The split of what this project wrote that choices are made on, and its parts in what is measured, sets that are drawn
and sets as they were written: no training has seen them."""

DEV_OTHER_LANGUAGES = "dev_other_languages"
"""What is written in other languages than English, of the same split, in sets as they were written."""


@dataclass(frozen=True, slots=True)
class Fold:
    """The material of one fold.

    Attributes:
        number: From 0.
        training: Draws from the domains that are trained on.
        as_written: The domains held out, in the policy sets that they stand in.
        new_domains: Draws from the domains held out, as for training.
        new_conversations: Draws from the domains that are trained on, but from conversations held out.
    """

    number: int
    training: ViewSampler
    as_written: tuple[View, ...]
    new_domains: ViewSampler
    new_conversations: ViewSampler


def make_sampler(taxonomies: Sequence[Taxonomy], neighbours: Neighbours, *, is_measured: bool = False) -> ViewSampler:
    """Make a sampler of everything, with the phrases to train with or those to measure with."""
    units = [unit for unit, _ in units_of(taxonomies)]
    talk = Talk(is_measured=is_measured)
    return ViewSampler(taxonomies, units, neighbours, Writer(load_wordings()), VIEW_WEIGHTS, talk=talk)


def make_fold(taxonomies: Sequence[Taxonomy], neighbours: Neighbours, number: int) -> Fold:
    """Make the material of a fold, whose domains are not trained on.

    What its training shows is in none of its other parts, turns that fit no route and phrases around requests included.

    Raises:
        ValueError: When no domain is in this fold.
    """
    writer = Writer(load_wordings())
    held_out = [unit for unit, each in fold_of(taxonomies).items() if each == number]
    kept = [unit for unit, _ in units_of(taxonomies) if unit not in held_out]
    if not held_out:
        msg = f"the material has no domain in fold {number}; give --sources"
        raise ValueError(msg)

    def sampler(units: Sequence[Unit], uses: Callable[[Example], bool], *, is_measured: bool = True) -> ViewSampler:
        talk = Talk(is_measured=is_measured)
        return ViewSampler(taxonomies, units, neighbours, writer, VIEW_WEIGHTS, talk=talk, uses=uses)

    def is_of_new_domains(example: Example) -> bool:
        return example.domain != OTHER or _part(example) == OF_NEW_DOMAINS

    return Fold(
        number=number,
        training=sampler(kept, lambda example: _part(example) == TRAINED_ON, is_measured=False),
        as_written=tuple(views_as_written(taxonomies, held_out, is_of_new_domains, number)),
        new_domains=sampler(held_out, is_of_new_domains),
        new_conversations=sampler(kept, lambda example: _part(example) == OF_KNOWN_DOMAINS),
    )


def _part(example: Example) -> str:
    """Say what a turn of a domain trained on is used for; turns that fit no route have no domain."""
    draw = seeded("held out", example.conversation_id).random()
    if draw < NEW_CONVERSATION_SHARE:
        return OF_KNOWN_DOMAINS
    is_measured = example.domain == OTHER and draw < NEW_CONVERSATION_SHARE + 1 / FOLD_COUNT
    return OF_NEW_DOMAINS if is_measured else TRAINED_ON
