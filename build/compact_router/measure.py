"""Measure a checkpoint, or the untrained sentence encoder, on the domains of a fold that it was not trained on."""

import argparse
import json
from pathlib import Path

import torch
from data.augment.settings import read_settings
from transformers.utils import logging

from compact_router.batches import BatchMaker
from compact_router.held_out import measure, measured_parts, measured_views, save_measured
from compact_router.learner import Learner
from compact_router.material import FOLD_COUNT, add_material_options, make_fold, read_material
from compact_router.neighbours import Neighbours
from compact_router.parallel import Workers
from compact_router.plan import LIMITS, Plan
from compact_router.pretrained import ENCODERS, MINILM, embed, text_reader
from compact_router.zero_shot import measure_zero_shot


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.measure", description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", help="(default: the untrained sentence encoder)")
    parser.add_argument("--output", type=Path, help="folder for figures and logits (default: print the figures only)")
    parser.add_argument("--fold", type=int, choices=range(FOLD_COUNT), required=True, help="as given in training")
    parser.add_argument("--encoder", choices=ENCODERS, default=MINILM, help="default: %(default)s")
    add_material_options(parser)
    given = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    material = read_material(given.sources, given.corpus, given.settings)
    neighbours = Neighbours(material, read_settings(given.settings).overlap, embed)
    try:
        fold = make_fold(material, neighbours, given.fold)
    except ValueError as error:
        parser.error(str(error))
    parts = measured_parts(fold)
    maker = BatchMaker(text_reader(given.encoder), LIMITS)
    if given.checkpoint is None:
        known = measured_views(fold.training, given.fold)
        for part, found in measure_zero_shot(maker, known, parts, given.encoder).items():
            print(json.dumps({"part": part, **found}))
        return
    learner = Learner(Plan(encoder=given.encoder), Workers(0, 1), with_rivals=False)
    learner.start_from(given.checkpoint)
    for part, views in parts.items():
        figures = measure(learner, maker, views)
        for name, each in figures.items():
            turn_accuracy = each.evaluation.micro.turn_accuracy
            print(json.dumps({"part": part, "head": name, "turn_accuracy": turn_accuracy, **each.by_source}))
        if given.output is not None:
            given.output.mkdir(parents=True, exist_ok=True)
            save_measured(given.output, part, figures)


if __name__ == "__main__":
    main()
