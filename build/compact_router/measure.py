"""Measure a checkpoint, or the untrained sentence encoder, on the domains of a fold that it was not trained on."""

import argparse
import json
from pathlib import Path

import torch
from data.augment.settings import read_settings
from transformers.utils import logging

from compact_router.batches import BatchMaker
from compact_router.held_out import measure, measured_views, save_measured
from compact_router.learner import Learner
from compact_router.material import FOLD_COUNT, add_material_options, fold_of, make_samplers, read_material
from compact_router.neighbours import Neighbours
from compact_router.parallel import Workers
from compact_router.plan import LIMITS, Plan
from compact_router.pretrained import embed, pretrained_tokenizer
from compact_router.zero_shot import measure_zero_shot


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.measure", description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", help="(default: the untrained sentence encoder)")
    parser.add_argument("--output", type=Path, help="folder for figures and logits (default: print the figures only)")
    parser.add_argument("--fold", type=int, choices=range(FOLD_COUNT), required=True, help="as given in training")
    add_material_options(parser)
    given = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    material = read_material(given.sources, given.corpus, given.settings)
    neighbours = Neighbours(material, read_settings(given.settings).overlap, embed)
    held_out = [unit for unit, fold in fold_of(material).items() if fold == given.fold]
    known, unseen = make_samplers(material, neighbours, held_out)
    if unseen is None:
        parser.error(f"the material has no domain in fold {given.fold}; give --sources")
    maker = BatchMaker(*pretrained_tokenizer(), LIMITS)
    views = measured_views(unseen, given.fold)
    if given.checkpoint is None:
        print(json.dumps(measure_zero_shot(maker, measured_views(known, given.fold), views)))
        return
    learner = Learner(Plan(), Workers(0, 1), with_rivals=False)
    learner.start_from(given.checkpoint)
    results = measure(learner, maker, views)
    for name, result in results.items():
        print(json.dumps({"head": name, "turn_accuracy": result.evaluation.micro.turn_accuracy, **result.by_source}))
    if given.output is not None:
        given.output.mkdir(parents=True, exist_ok=True)
        save_measured(given.output, results)


if __name__ == "__main__":
    main()
