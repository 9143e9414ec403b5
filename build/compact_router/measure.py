"""Measure a checkpoint, or the untrained sentence encoder, on the domains of a fold that it was not trained on.

Or a checkpoint with --dev-split on the own corpus' dev split and the services held out, in sets as written and in drawn
ones, as for training but with phrases that are not trained with; one that reads English alone also on the corpus' turns
in other languages. With --benchmark on folders of labelled conversations, as `archrouter eval` reads them.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from data.augment.settings import read_settings
from transformers.utils import logging

from compact_router.as_written import views_as_written
from compact_router.batches import BatchMaker
from compact_router.held_out import decide_and_measure, measure, measured_parts, measured_views, save_measured
from compact_router.kinds import benchmark_views, figures_by_setting
from compact_router.learner import Learner, learner_of
from compact_router.material import (
    DEV_AS_WRITTEN,
    DEV_SETS,
    DEV_SPLIT,
    FOLD_COUNT,
    UNREAD,
    add_material_options,
    make_fold,
    make_sampler,
    read_material,
)
from compact_router.neighbours import Neighbours
from compact_router.plan import LIMITS
from compact_router.pretrained import ENCODERS, MINILM, embed, text_reader
from compact_router.talk import ENGLISH
from compact_router.taxonomy import Example, Taxonomy, units_of
from compact_router.views import View
from compact_router.zero_shot import measure_zero_shot

DEV_TURNS_PER_SOURCE = 1000


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.measure", description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", help="(default: the untrained sentence encoder)")
    parser.add_argument("--output", type=Path, help="folder for figures and logits (default: print the figures only)")
    measured_on = parser.add_mutually_exclusive_group(required=True)
    measured_on.add_argument("--fold", type=int, choices=range(FOLD_COUNT), help="as given in training")
    measured_on.add_argument(
        "--dev-split", action="store_true", help="the own corpus' dev split and the services held out"
    )
    measured_on.add_argument("--benchmark", type=Path, nargs="+", help="folders of labelled conversations")
    parser.add_argument("--temperature", type=float, default=1.0, help="of --benchmark (default: %(default)s)")
    parser.add_argument("--encoder", choices=ENCODERS, default=MINILM, help="the untrained one (default: %(default)s)")
    add_material_options(parser)
    given = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    if given.checkpoint is None and given.fold is None:
        parser.error("--benchmark and --dev-split need a checkpoint")
    learner, encoder = (None, given.encoder) if given.checkpoint is None else learner_of(given.checkpoint)
    maker = BatchMaker(text_reader(encoder), LIMITS)
    if learner is not None and given.benchmark is not None:
        _measure_benchmarks(given, learner, maker)
    elif learner is not None and given.dev_split:
        _measure_parts(given.output, learner, maker, _dev_parts(given, encoder))
    else:
        material = read_material(given.sources, given.corpus, given.settings, given.services)
        try:
            fold = make_fold(material, _neighbours(given, material), given.fold)
        except ValueError as error:
            parser.error(str(error))
        parts = measured_parts(fold)
        if learner is not None:
            _measure_parts(given.output, learner, maker, parts)
            return
        known = measured_views(fold.training, given.fold)
        for part, found in measure_zero_shot(maker, known, parts, encoder).items():
            print(json.dumps({"part": part, **found}))


def _neighbours(given: argparse.Namespace, material: Sequence[Taxonomy]) -> Neighbours:
    return Neighbours(material, read_settings(given.settings).overlap, embed)


def _dev_parts(given: argparse.Namespace, encoder: str) -> dict[str, Sequence[View]]:
    """Draw what choices are made on, and what a reader of English alone was not trained with."""
    is_english = ENCODERS[encoder].is_english
    material = read_material(None, given.corpus, given.settings, given.services, DEV_SPLIT, is_english=is_english)
    sampler = make_sampler(material, _neighbours(given, material), is_measured=True)
    parts: dict[str, Sequence[View]] = {
        DEV_SETS: measured_views(sampler, 0),
        DEV_AS_WRITTEN: _as_written(material, lambda _: True),
    }
    if is_english:
        corpus = read_material(None, given.corpus, given.settings, services=None)
        unread = _as_written(corpus, lambda each: each.language != ENGLISH)
        parts |= {UNREAD: unread} if unread else {}
    return parts


def _as_written(material: Sequence[Taxonomy], uses: Callable[[Example], bool]) -> list[View]:
    return views_as_written(material, [unit for unit, _ in units_of(material)], uses, 0, DEV_TURNS_PER_SOURCE)


def _measure_parts(
    output: Path | None, learner: Learner, maker: BatchMaker, parts: Mapping[str, Sequence[View]]
) -> None:
    """Print the figures of every part, and save them where that is wanted."""
    for part, views in parts.items():
        figures = measure(learner, maker, views)
        for name, each in figures.items():
            turn_accuracy = each.evaluation.micro.turn_accuracy
            print(json.dumps({"part": part, "head": name, "turn_accuracy": turn_accuracy, **each.by_source}))
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            save_measured(output, part, figures)


def _measure_benchmarks(given: argparse.Namespace, learner: Learner, maker: BatchMaker) -> None:
    """Print the figures of every setting."""
    for folder in given.benchmark:
        views, changed = benchmark_views(folder)
        decisions, measured = decide_and_measure(learner, maker, views, given.temperature)
        for figures in figures_by_setting(decisions, changed):
            print(json.dumps({"benchmark": folder.name, **figures}))
        if given.output is not None:
            given.output.mkdir(parents=True, exist_ok=True)
            save_measured(given.output, folder.name, measured)


if __name__ == "__main__":
    main()
