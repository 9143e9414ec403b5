"""Measures a trained network on domains that it was not trained on, beside the sentence encoder it started from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from data.augment.drawing import seeded
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from compact_router.as_written import TURNS_PER_VIEW
from compact_router.batches import Batch, BatchMaker, Scored, score
from compact_router.benchmark import LabelledTurn
from compact_router.evaluate import Decision, Evaluation, evaluate
from compact_router.learner import Learner
from compact_router.material import AS_WRITTEN, NEW_CONVERSATIONS, NEW_DOMAINS, Fold
from compact_router.slots import Turn
from compact_router.views import View, ViewSampler

VIEW_COUNT = 100
VIEWS_PER_BATCH = 4

READER = "joint reader"


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a head makes of the held-out turns.

    Attributes:
        evaluation: The figures, by kind of policy set.
        by_source: Right answers and turns, by source.
        by_kind: The same by what was made of a request.
        logits: float32 [K, most candidates + 1], padded with -1e4 on the left of no match.
        labels: int64 [K].
    """

    evaluation: Evaluation
    by_source: dict[str, list[int]]
    by_kind: dict[str, list[int]]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]


def measured_views(sampler: ViewSampler, fold: int, count: int = VIEW_COUNT) -> list[View]:
    """Draw the policy sets and turns to measure on; the same ones for the same fold."""
    return [sampler.draw(TURNS_PER_VIEW, seeded("measure", fold, number)) for number in range(count)]


def measured_parts(fold: Fold, view_count: int = VIEW_COUNT) -> dict[str, Sequence[View]]:
    """List what a network that was trained without a fold is measured on, by part."""
    return {
        AS_WRITTEN: fold.as_written,
        NEW_DOMAINS: measured_views(fold.new_domains, fold.number, view_count),
        NEW_CONVERSATIONS: measured_views(fold.new_conversations, fold.number, view_count),
    }


def measure(learner: Learner, maker: BatchMaker, views: Sequence[View]) -> dict[str, Measured]:
    """Measure every head, by its name."""
    return {name: _measured(each) for name, each in _scores(learner, maker, views).items()}


def decide(learner: Learner, maker: BatchMaker, views: Sequence[View], temperature: float = 1.0) -> list[Decision]:
    """Decide every turn with the reader, in the order of the views; a decision's setting is its view's kind."""
    return _decided(_scores(learner, maker, views), temperature)


def decide_and_measure(
    learner: Learner, maker: BatchMaker, views: Sequence[View], temperature: float
) -> tuple[list[Decision], dict[str, Measured]]:
    """Do what ``decide`` and ``measure`` do, and score the views once for both."""
    scores = _scores(learner, maker, views)
    return _decided(scores, temperature), {name: _measured(each) for name, each in scores.items()}


def _decided(scores: Mapping[str, Sequence[tuple[Batch, Tensor]]], temperature: float) -> list[Decision]:
    return [decision for decision, _, _ in _decisions(scores[READER], temperature)]


def _scores(learner: Learner, maker: BatchMaker, views: Sequence[View]) -> dict[str, list[tuple[Batch, Tensor]]]:
    learner.router.eval()
    parts: dict[str, list[tuple[Batch, Tensor]]] = {}
    for start in track(range(0, len(views), VIEWS_PER_BATCH), description="measuring", console=Console(stderr=True)):
        batch = maker.make(views[start : start + VIEWS_PER_BATCH])
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            scored: Scored = score(learner.router, learner.lower, batch, learner.rivals)
        for name, logits in {READER: scored.logits, **scored.rivals}.items():
            parts.setdefault(name, []).append((batch, logits))
    return parts


def _decisions(
    parts: Sequence[tuple[Batch, Tensor]], temperature: float = 1.0
) -> Iterator[tuple[Decision, Turn, NDArray[np.float64]]]:
    """Give each turn's decision, the turn and its scores."""
    for batch, logits in parts:
        for row, turn in enumerate(batch.turns):
            count = int(batch.candidate_mask[row].sum())
            scores = torch.cat([logits[row, :count], logits[row, -1:]]).numpy().astype(np.float64) / temperature
            probabilities = np.exp(scores - np.logaddexp.reduce(scores))
            chosen = int(probabilities.argmax())
            shown = LabelledTurn(batch.kinds[row], turn.conversation_id, b"", (b"",) * count, turn.label)
            decision = Decision(shown, chosen, float(probabilities[chosen]), float(probabilities[turn.label]))
            yield decision, turn, scores


def _measured(parts: Sequence[tuple[Batch, Tensor]]) -> Measured:
    found = list(_decisions(parts))
    decisions = [decision for decision, _, _ in found]
    rows = [(scores, turn.label) for _, turn, scores in found]
    width = max(len(scores) for scores, _ in rows)
    padded = np.stack(
        [np.concatenate([scores[:-1], np.full(width - len(scores), -1e4), scores[-1:]]) for scores, _ in rows]
    )
    labels = [width - 1 if label == len(scores) - 1 else label for scores, label in rows]
    return Measured(
        evaluation=evaluate(decisions),
        by_source=_counts([(turn.source, decision.is_right) for decision, turn, _ in found]),
        by_kind=_counts([(turn.kind, decision.is_right) for decision, turn, _ in found]),
        logits=padded.astype(np.float32),
        labels=np.array(labels),
    )


def _counts(answers: Sequence[tuple[str, bool]]) -> dict[str, list[int]]:
    """Count right answers and all, by name."""
    names = sorted({name for name, _ in answers})
    return {
        name: [sum(is_right for each, is_right in answers if each == name), sum(each == name for each, _ in answers)]
        for name in names
    }


def save_measured(folder: Path, part: str, results: Mapping[str, Measured]) -> None:
    """Write the figures to ``<part>.json``, and the reader's logits, for calibration, to ``<part>.npz``."""
    heads = {
        name: {**asdict(result.evaluation), "by_source": result.by_source, "by_kind": result.by_kind}
        for name, result in results.items()
    }
    document = {"by_source": results[READER].by_source, "heads": heads}
    (folder / f"{part}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    np.savez_compressed(folder / f"{part}.npz", logits=results[READER].logits, labels=results[READER].labels)
