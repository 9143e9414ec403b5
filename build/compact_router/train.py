"""Train the network on policy sets drawn from the material; run again to go on after an interruption.

With --fold the domains of that fold are held out, and a tenth of the other domains' conversations. The network is
measured on both when it is trained: choices are made by the figures of the held-out domains. With --rivals simpler
heads are trained on the same encoder and measured beside it.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
from data.augment.drawing import seeded
from data.augment.settings import read_settings
from rich.progress import Progress
from transformers.utils import logging

from compact_router.batches import BatchMaker
from compact_router.curve import CurveLog
from compact_router.held_out import VIEW_COUNT, measure, measured_parts, save_measured
from compact_router.learner import Learner
from compact_router.material import FOLD_COUNT, add_material_options, make_fold, make_sampler, read_material
from compact_router.neighbours import Neighbours
from compact_router.parallel import Workers, run
from compact_router.plan import LIMITS, Plan
from compact_router.pretrained import ENCODERS, embed, text_reader
from compact_router.teacher import Teacher
from compact_router.views import View, ViewSampler

CHECKPOINT, CURVE = "checkpoint.pt", "curve.jsonl"
STEPS_PER_CHECKPOINT = 100


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(
        prog="python -m compact_router.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m compact_router.train out/router --sources TRAIN_SOURCES --workers 2",
    )
    parser.add_argument("output", type=Path, help="folder of the checkpoint and the curve; made when it is not there")
    add_material_options(parser)
    parser.add_argument("--fold", type=int, choices=range(FOLD_COUNT), help="hold this fold's domains out")
    parser.add_argument("--start", type=Path, help="checkpoint to take the weights of (default: the sentence encoder)")
    parser.add_argument("--teacher", type=Path, help="checkpoint whose reader a further encoder is to serve")
    parser.add_argument(
        "--measured-views", type=int, default=VIEW_COUNT, help="policy sets to measure on (default: %(default)s)"
    )
    parser.add_argument("--rivals", action="store_true", help="train simpler heads beside the reader")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread (default: %(default)s)")
    for field in fields(Plan):
        option = f"--{field.name.replace('_', '-')}"
        choices = ENCODERS if field.name == "encoder" else None
        parser.add_argument(
            option, type=type(field.default), default=field.default, choices=choices, help="(default: %(default)s)"
        )
    given = parser.parse_args(arguments)
    if given.output.exists() and not given.output.is_dir():
        parser.error(f"{given.output} is a file; name a folder")
    given.output.mkdir(parents=True, exist_ok=True)
    run(given.workers, given.output, partial(train, given))


def train(given: argparse.Namespace, workers: Workers) -> None:
    """Train in one of the processes."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    plan = Plan(**{field.name: getattr(given, field.name) for field in fields(Plan)})
    is_english = ENCODERS[plan.encoder].is_english
    material = read_material(given.sources, given.corpus, given.settings, given.services, is_english=is_english)
    neighbours = Neighbours(material, read_settings(given.settings).overlap, embed)
    fold = make_fold(material, neighbours, given.fold) if given.fold is not None else None
    sampler = fold.training if fold is not None else make_sampler(material, neighbours)
    maker = BatchMaker(text_reader(plan.encoder), LIMITS)
    teacher = Teacher(given.teacher, given.services, maker) if given.teacher is not None else None
    learner = Learner(plan, workers, with_rivals=given.rivals, is_taught=teacher is not None)
    checkpoint: Path = given.output / CHECKPOINT
    if checkpoint.exists():
        learner.resume(checkpoint)
    elif given.start is not None:
        learner.start_from(given.start)
    log = CurveLog(given.output / CURVE, learner.step_count)
    with Progress(disable=not workers.is_first) as progress:
        task = progress.add_task("training", total=plan.steps, completed=learner.step_count)
        while learner.step_count < plan.steps:
            views = draw_views(sampler, plan, learner.step_count, workers)
            loss, accuracy = learner.step(
                maker.make(views) if teacher is None else teacher.teach(views, learner.step_count, workers.rank)
            )
            if workers.is_first:
                log.add(learner.step_count, loss, accuracy)
                if learner.step_count % STEPS_PER_CHECKPOINT == 0 or learner.step_count == plan.steps:
                    learner.save(checkpoint)
            progress.update(task, completed=learner.step_count, description=f"loss {log.loss:.3f}")
    if workers.is_first and fold is not None:
        for part, views in measured_parts(fold, given.measured_views).items():
            figures = measure(learner, maker, views)
            save_measured(given.output, part, figures)
            shares = {name: each.evaluation.micro.turn_accuracy for name, each in figures.items()}
            print(json.dumps({"part": part, **shares}))


def draw_views(sampler: ViewSampler, plan: Plan, step: int, workers: Workers) -> Sequence[View]:
    """Draw this process's part of a step; it depends on nothing but the seed, the step and the process."""
    numbers = np.array_split(np.arange(plan.views), workers.count)[workers.rank]
    return [sampler.draw(plan.turns, seeded(plan.seed, step, number)) for number in numbers]


if __name__ == "__main__":
    main()
