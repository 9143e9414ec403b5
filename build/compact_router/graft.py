"""Teach an encoder of other languages to give a text the vector that a trained network gives it, or what it translates.

A linear map behind its layers is fitted first, by least squares; then all of them are trained. The checkpoint has the
trained network's reader, which understands both; `compact_router.train --teacher` goes on from it.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from data.augment.drawing import seeded
from rich.progress import track
from torch import Tensor

from compact_router.batches import BatchMaker, LowerStates, encode
from compact_router.curve import CurveLog
from compact_router.learner import Learner, load_router
from compact_router.network import WIDTH, Encoder
from compact_router.parallel import Workers, run
from compact_router.plan import LIMITS, Plan
from compact_router.pretrained import E5_SMALL, ENCODERS, text_reader
from compact_router.services import SERVICES, read_services, read_translations
from compact_router.talk import ENGLISH
from compact_router.taxonomy import units_of
from compact_router.teacher import VectorLesson
from compact_router.train import CHECKPOINT, CURVE

ALL_LAYERS = 1000
ENGLISH_TEXTS, MOST_CHARACTERS = 12_000, 200
"""Texts that are their own originals, beside all translations."""

FITTED_TEXTS, TEXTS_PER_RUN = 15_000, 2_000
TEXTS_PER_STEP = 144
"""Of each process."""

RIDGE = 1e-3
"""Share of a state's mean square that is added to the squares of the fit: directions that no text shows stay short."""


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(
        prog="python -m compact_router.graft",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m compact_router.graft out/final/checkpoint.pt out/grafted",
    )
    parser.add_argument("checkpoint", type=Path, help="of the trained network")
    parser.add_argument("output", type=Path, help="folder of the checkpoint; made when it is not there")
    parser.add_argument("--services", type=Path, default=SERVICES, help="made-up services (default: this tree's)")
    mapped = [name for name, each in ENCODERS.items() if each.is_mapped]
    parser.add_argument("--encoder", choices=mapped, default=E5_SMALL, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=180, help="of training after the fit (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=2e-4, help="peak learning rate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread (default: %(default)s)")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    run(given.workers, given.output, partial(graft, given))


def graft(given: argparse.Namespace, workers: Workers) -> None:
    """Fit the map and train, in one of the processes."""
    plan = Plan(
        encoder=given.encoder,
        trained_layers=ALL_LAYERS,
        seed=given.seed,
        steps=given.steps,
        encoder_rate=given.rate,
        reader_rate=given.rate,
    )
    trained, its_encoder = load_router(given.checkpoint)
    learner = Learner(plan, workers, with_rivals=False, is_taught=True)
    learner.router.reader.load_state_dict(trained.reader.state_dict())
    own, maker = (BatchMaker(text_reader(each), LIMITS) for each in (its_encoder, given.encoder))
    pairs = read_pairs(given.services, given.seed)
    shown = pairs[:FITTED_TEXTS]
    _, means = encoded(learner.router.encoder, maker, [text for _, text in shown])  # its map changes nothing yet
    wanted, trained_means = encoded(trained.encoder, own, [original for original, _ in shown])
    fit_map(learner.router.encoder, means, wanted, trained_means.norm(dim=1).mean())
    part = pairs[workers.rank :: workers.count]
    originals, _ = encoded(trained.encoder, own, [original for original, _ in part])
    texts = [maker.example_tokens(text) for _, text in part]
    log = CurveLog(given.output / CURVE, 0)
    for step in track(range(given.steps), description="training", disable=not workers.is_first):
        drawn = seeded(given.seed, step, workers.rank).sample(range(len(part)), min(TEXTS_PER_STEP, len(part)))
        loss, accuracy = learner.step(VectorLesson([texts[each] for each in drawn], originals[drawn]))
        if workers.is_first:
            log.add(step + 1, loss, accuracy)
    if workers.is_first:
        learner.save(given.output / CHECKPOINT)


def read_pairs(services: Path, seed: int) -> list[tuple[str, str]]:
    """List texts in English with themselves, and with their translations where there are any."""
    taxonomies = read_services(services)
    said = {
        example.messages[-1].content[:MOST_CHARACTERS]
        for each in taxonomies
        for example in each.examples
        if example.language == ENGLISH and len(example.messages) == 1
    }
    routes = {action.descriptions[0] for _, domain in units_of(taxonomies) for action in domain.actions}
    english, draws = sorted(said | routes), seeded("pairs", seed)
    kept = draws.sample(english, min(ENGLISH_TEXTS, len(english)))
    pairs = [(text, text) for text in kept]
    pairs += [pair for language in read_translations(services).values() for pair in language.items()]
    draws.shuffle(pairs)
    return pairs


def encoded(encoder: Encoder, maker: BatchMaker, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Encode texts; gives their vectors and the means of their states, float32 [N, 384] both."""
    vectors, means = [], []
    for start in range(0, len(texts), TEXTS_PER_RUN):
        some = [maker.example_tokens(text) for text in texts[start : start + TEXTS_PER_RUN]]
        with torch.no_grad():
            found, states, mask = encode(encoder, LowerStates(encoder, 0), some)
        vectors.append(found)
        means.append((states * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True))
    return torch.cat(vectors), torch.cat(means)


def fit_map(encoder: Encoder, means: Tensor, wanted: Tensor, length: Tensor) -> None:
    """Fit the map that brings the means of states to vectors, and let it make means as long as the reader knows them.

    Args:
        encoder: Its map is replaced; nothing is taken off its vectors any more, the map's constant does that.
        means: float32 [N, 384].
        wanted: float32 [N, 384].
        length: Of a mean as the reader knows it; a number.
    """
    rows = torch.cat([means, torch.ones(len(means), 1)], dim=1).double()
    squares = rows.T @ rows
    squares += RIDGE * squares.diagonal().mean() * torch.eye(WIDTH + 1)
    solution = torch.linalg.solve(squares, rows.T @ wanted.double()).float()
    scale = length / (means @ solution[:-1] + solution[-1]).norm(dim=1).mean()
    with torch.no_grad():
        encoder.centre.zero_()
        map_ = encoder.get_submodule("map")
        map_.weight.copy_(scale * solution[:-1].T)
        map_.bias.copy_(scale * solution[-1])


if __name__ == "__main__":
    main()
