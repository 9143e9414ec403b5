"""Measure a checkpoint, or the untrained sentence encoder, on the domains of a fold that it was not trained on.

Or a checkpoint with --dev-split on the own corpus' dev split and the services held out, in sets as written and in drawn
ones, as for training but with phrases that are not trained with. With --benchmark on folders of labelled conversations,
as `archrouter eval` reads them. The folder of a served model is measured as Triton runs it, with --dev-split also on
what is written in other languages, which an encoder of its own reads.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from compact_model.router import CompactRouter
from data.augment.settings import read_settings
from transformers.utils import logging

from compact_router.as_written import views_as_written
from compact_router.batches import BatchMaker
from compact_router.held_out import (
    READER,
    Answer,
    Measured,
    answers,
    measure,
    measured,
    measured_parts,
    measured_views,
    save_measured,
    served_answers,
)
from compact_router.kinds import benchmark_views, figures_by_setting, in_other_languages
from compact_router.learner import learner_of
from compact_router.manifest import VERSION
from compact_router.material import (
    DEV_AS_WRITTEN,
    DEV_OTHER_LANGUAGES,
    DEV_SETS,
    DEV_SPLIT,
    FOLD_COUNT,
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
SERVED_CANDIDATES = 4096


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.measure", description=__doc__)
    parser.add_argument(
        "checkpoint",
        type=Path,
        nargs="?",
        help="checkpoint, or folder of a served model (default: the untrained sentence encoder)",
    )
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
    if given.checkpoint is not None and given.checkpoint.is_dir():
        if given.fold is not None:
            parser.error("--fold needs the checkpoint of that fold's training")
        _measure_served(given)
        return
    learner, encoder = (None, given.encoder) if given.checkpoint is None else learner_of(given.checkpoint)
    maker = BatchMaker(text_reader(encoder), LIMITS)
    if learner is not None and given.benchmark is not None:
        _measure_benchmarks(given, partial(answers, learner, maker))
        return
    if learner is not None and given.dev_split:
        dev = _dev_parts(given, is_english=ENCODERS[encoder].is_english)
        _save(given.output, {part: measure(learner, maker, views) for part, views in dev.items()})
        return
    is_english = ENCODERS[encoder].is_english
    material = read_material(given.sources, given.corpus, given.settings, given.services, is_english=is_english)
    try:
        fold = make_fold(material, _neighbours(given, material), given.fold)
    except ValueError as error:
        parser.error(str(error))
    parts = measured_parts(fold)
    if learner is not None:
        _save(given.output, {part: measure(learner, maker, views) for part, views in parts.items()})
        return
    known = measured_views(fold.training, given.fold)
    for part, found in measure_zero_shot(maker, known, parts, encoder).items():
        print(json.dumps({"part": part, **found}))


def _neighbours(given: argparse.Namespace, material: Sequence[Taxonomy]) -> Neighbours:
    return Neighbours(material, read_settings(given.settings).overlap, embed)


def _dev_parts(given: argparse.Namespace, *, is_english: bool) -> dict[str, Sequence[View]]:
    """Draw what choices are made on."""
    material = read_material(None, given.corpus, given.settings, given.services, DEV_SPLIT, is_english=is_english)
    sampler = make_sampler(material, _neighbours(given, material), is_measured=True)
    return {DEV_SETS: measured_views(sampler, 0), DEV_AS_WRITTEN: _as_written(material, lambda _: True)}


def _as_written(material: Sequence[Taxonomy], uses: Callable[[Example], bool]) -> list[View]:
    return views_as_written(material, [unit for unit, _ in units_of(material)], uses, 0, DEV_TURNS_PER_SOURCE)


def _measure_served(given: argparse.Namespace) -> None:
    """Measure the files of a model."""
    router = CompactRouter.load(
        given.checkpoint / VERSION, intra_op_thread_count=1, candidate_cache_capacity=SERVED_CANDIDATES
    )
    if given.dev_split:
        material = read_material(None, given.corpus, given.settings, given.services, DEV_SPLIT)
        others = [
            *_as_written(material, lambda example: example.language != ENGLISH),
            *in_other_languages(),
        ]
        parts = {**_dev_parts(given, is_english=True), DEV_OTHER_LANGUAGES: others}
        _save(given.output, {part: {READER: measured(served_answers(router, views))} for part, views in parts.items()})
    else:
        _measure_benchmarks(given, lambda views: served_answers(router, views))


def _save(output: Path | None, parts: Mapping[str, Mapping[str, Measured]]) -> None:
    """Print the figures of every part, and save them where that is wanted."""
    for part, figures in parts.items():
        for name, each in figures.items():
            turn_accuracy = each.evaluation.micro.turn_accuracy
            print(json.dumps({"part": part, "head": name, "turn_accuracy": turn_accuracy, **each.by_source}))
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            save_measured(output, part, figures)


def _measure_benchmarks(given: argparse.Namespace, answered: Callable[[Sequence[View]], list[Answer]]) -> None:
    """Print the figures of every setting."""
    for folder in given.benchmark:
        views, changed = benchmark_views(folder)
        found = answered(views)
        for figures in figures_by_setting([each.decision(given.temperature) for each in found], changed):
            print(json.dumps({"benchmark": folder.name, **figures}))
        if given.output is not None:
            given.output.mkdir(parents=True, exist_ok=True)
            save_measured(given.output, folder.name, {READER: measured(found)})


if __name__ == "__main__":
    main()
