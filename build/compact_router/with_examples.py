"""Measure what examples in policies are worth: the same turns without any, and with a few for each route.

The turns of a policy set are divided by conversation into two halves, and the routes of one get their examples from the
other. So do those of what a route is not for: turns of the other half that were answered with it and are another's.
The confusions named so are counted before and after. With --fold, which the checkpoint was trained without, the turns
are those of its domains in sets as written; with --held-out all of the services held out; with --benchmark those of
folders that `archrouter eval` reads.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from compact_model.inputs import Candidate
from data.augment.drawing import seeded
from data.augment.settings import read_settings
from transformers.utils import logging

from compact_router.as_written import views_as_written
from compact_router.batches import BatchMaker
from compact_router.evaluate import Decision
from compact_router.held_out import decide
from compact_router.kinds import benchmark_views
from compact_router.learner import Learner, learner_of
from compact_router.material import FOLD_COUNT, add_material_options, make_fold, read_material
from compact_router.neighbours import Neighbours
from compact_router.plan import LIMITS
from compact_router.pretrained import ENCODERS, embed, text_reader
from compact_router.services import read_services
from compact_router.slots import Turn
from compact_router.talk import ENGLISH
from compact_router.taxonomy import units_of
from compact_router.views import EXAMPLE_CHARACTERS, MOST_NOT_EXAMPLES, View

EXAMPLES = 5

EVERY_TURN = 1_000_000
"""More turns than any source has."""

Half = tuple[tuple[Candidate, ...], int]
"""A policy set, and which of its turns."""

Texts = Mapping[Half, Mapping[int, Sequence[str]]]
"""Texts for each candidate of a policy set, by its index, for the turns of a half."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Right answers among the same turns.

    Attributes:
        turns: How many there are.
        without: Right ones among them without examples.
        given: With examples.
        named: Turns without examples that are mistaken as one of the other half was, which an example names.
        still: Of all turns, those mistaken in one of these ways when the routes are told what they are not for.
    """

    turns: int
    without: int
    given: int
    named: int
    still: int


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.with_examples", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    measured_on = parser.add_mutually_exclusive_group(required=True)
    measured_on.add_argument("--fold", type=int, choices=range(FOLD_COUNT), help="as given in training")
    measured_on.add_argument("--held-out", action="store_true", help="the services held out")
    measured_on.add_argument("--benchmark", type=Path, nargs="+", help="folders of labelled conversations")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="most for a route (default: %(default)s)")
    add_material_options(parser)
    given = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    learner, encoder = learner_of(given.checkpoint)
    maker = BatchMaker(text_reader(encoder), LIMITS)
    for name, views in _measured_on(given, is_english=ENCODERS[encoder].is_english):
        print(json.dumps({"on": name, "examples": given.examples, **effect_of(learner, maker, views, given.examples)}))


def effect_of(learner: Learner, maker: BatchMaker, views: Sequence[View], count: int) -> dict[str, object]:
    """Measure on some views, with at most ``count`` examples for a route."""
    halves = list(in_halves(views))
    bare = decide(learner, maker, halves)
    examples = examples_of(halves, count)
    shown = decide(learner, maker, [with_texts(view, examples, {}) for view in halves])
    mistaken = mistakes(halves, bare)
    told = decide(learner, maker, [with_texts(view, {}, mistaken) for view in halves])
    effect = compare(halves, bare, shown, told)
    return {
        "turns": effect.turns,
        "accuracy": round(effect.without / effect.turns, 4),
        "accuracy_with_examples": round(effect.given / effect.turns, 4),
        "named_confusions": effect.named,
        "named_confusions_with_not_examples": effect.still,
        "accuracy_with_not_examples": round(sum(each.is_right for each in told) / effect.turns, 4),
    }


def in_halves(views: Sequence[View]) -> Iterator[View]:
    """Divide the turns of each view by their conversations, the same ones each time."""
    for view in views:
        for half in (0, 1):
            if turns := tuple(turn for turn in view.turns if _half(turn) == half):
                yield replace(view, turns=turns)


def examples_of(halves: Sequence[View], count: int) -> Texts:
    """Choose for each route at most ``count`` requests of the other half that stand by themselves."""
    return _chosen(halves, ((view, turn, turn.label) for view in halves for turn in view.turns), count)


def mistakes(halves: Sequence[View], decisions: Sequence[Decision]) -> Texts:
    """Give each route requests of the other half that were answered with it and are not its own."""
    rows = _rows(halves, decisions)
    wrong = ((view, turn, decision.predicted) for view, turn, decision in rows if not decision.is_right)
    return _chosen(halves, wrong, MOST_NOT_EXAMPLES)


def with_texts(view: View, examples: Texts, not_examples: Texts) -> View:
    """Give the routes of a view of one half what was chosen for them."""
    half = _key(view)
    candidates = (
        replace(
            each,
            examples=tuple(examples.get(half, {}).get(index, ())),
            not_examples=tuple(not_examples.get(half, {}).get(index, ())),
        )
        for index, each in enumerate(view.candidates)
    )
    return replace(view, candidates=tuple(candidates))


def compare(
    halves: Sequence[View], bare: Sequence[Decision], shown: Sequence[Decision], told: Sequence[Decision]
) -> Effect:
    """Count right answers, and the confusions that were told of: the same two routes, in turns of the other half."""
    named = Counter(
        (*_key(view), turn.label, decision.predicted)
        for view, turn, decision in _rows(halves, bare)
        if not decision.is_right and decision.predicted < len(view.candidates) and len(turn.messages) == 1
    )

    def of_named(decisions: Sequence[Decision]) -> int:
        return sum(
            (view.candidates, 1 - _key(view)[1], turn.label, decision.predicted) in named
            for view, turn, decision in _rows(halves, decisions)
        )

    return Effect(
        turns=len(bare),
        without=sum(each.is_right for each in bare),
        given=sum(each.is_right for each in shown),
        named=of_named(bare),
        still=of_named(told),
    )


def _measured_on(given: argparse.Namespace, *, is_english: bool) -> Iterator[tuple[str, Sequence[View]]]:
    for folder in given.benchmark or ():
        yield folder.name, benchmark_views(folder)[0]
    if given.held_out:
        services = read_services(given.services, is_held_out=True)
        units = [unit for unit, _ in units_of(services)]
        views = views_as_written(services, units, lambda example: example.language == ENGLISH, 0, EVERY_TURN)
        yield "services held out", views
    if given.fold is not None:
        material = read_material(given.sources, given.corpus, given.settings, given.services, is_english=is_english)
        neighbours = Neighbours(material, read_settings(given.settings).overlap, embed)
        yield f"fold {given.fold} as written", make_fold(material, neighbours, given.fold).as_written


def _chosen(halves: Sequence[View], offered: Iterable[tuple[View, Turn, int]], most: int) -> Texts:
    """Take what is offered to a route, by its index, for the other half, which must not ask the same."""
    found: dict[Half, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    asked = _asked(halves)
    for view, turn, index in offered:
        candidates, half = _key(view)
        text = turn.messages[-1].content[:EXAMPLE_CHARACTERS]
        there = found[candidates, 1 - half][index]
        is_new = text not in there and text not in asked[candidates, 1 - half]
        if len(turn.messages) == 1 and index < len(candidates) and is_new and len(there) < most:
            there.append(text)
    return found


def _rows(halves: Sequence[View], decisions: Sequence[Decision]) -> Iterator[tuple[View, Turn, Decision]]:
    turns = ((view, turn) for view in halves for turn in view.turns)
    for (view, turn), decision in zip(turns, decisions, strict=True):
        yield view, turn, decision


def _asked(halves: Sequence[View]) -> Mapping[Half, frozenset[str]]:
    found: dict[Half, set[str]] = defaultdict(set)
    for view in halves:
        found[_key(view)].update(turn.messages[-1].content[:EXAMPLE_CHARACTERS] for turn in view.turns)
    return defaultdict(frozenset, {half: frozenset(texts) for half, texts in found.items()})


def _key(view: View) -> Half:
    return view.candidates, _half(view.turns[0])


def _half(turn: Turn) -> int:
    return int(seeded("half", turn.conversation_id).random() < 0.5)  # noqa: PLR2004 - a half


if __name__ == "__main__":
    main()
