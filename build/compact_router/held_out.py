"""Measures a trained network on domains that it was not trained on, beside the sentence encoder it started from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from compact_model.router import CompactRouter
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
        sources: Of the K turns.
    """

    evaluation: Evaluation
    by_source: dict[str, list[int]]
    by_kind: dict[str, list[int]]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    sources: NDArray[np.str_]


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


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a network makes of a turn.

    Attributes:
        setting: Of the turn: its view's kind.
        turn: The turn.
        scores: float64 [candidates + 1], natural logarithms up to a constant; no match is the last.
    """

    setting: str
    turn: Turn
    scores: NDArray[np.float64]

    def decision(self, temperature: float) -> Decision:
        """Choose, as sure as the scores over a temperature are."""
        scaled = self.scores / temperature
        probabilities = np.exp(scaled - np.logaddexp.reduce(scaled))
        chosen = int(probabilities.argmax())
        candidates = (b"",) * (len(self.scores) - 1)
        shown = LabelledTurn(self.setting, self.turn.conversation_id, b"", candidates, self.turn.label)
        return Decision(shown, chosen, float(probabilities[chosen]), float(probabilities[self.turn.label]))


def measure(learner: Learner, maker: BatchMaker, views: Sequence[View]) -> dict[str, Measured]:
    """Measure every head, by its name."""
    return {name: measured(each) for name, each in _answers(learner, maker, views).items()}


def answers(learner: Learner, maker: BatchMaker, views: Sequence[View]) -> list[Answer]:
    """Answer every turn with the reader, in the order of the views."""
    return _answers(learner, maker, views)[READER]


def decide(learner: Learner, maker: BatchMaker, views: Sequence[View]) -> list[Decision]:
    """Decide every turn with the reader, in the order of the views."""
    return [answer.decision(temperature=1.0) for answer in answers(learner, maker, views)]


def served_answers(router: CompactRouter, views: Sequence[View]) -> list[Answer]:
    """Answer every turn with the files that Triton serves, in the order of the views."""
    found = []
    for view in track(views, description="measuring", console=Console(stderr=True)):
        candidates = [json.dumps(asdict(each)).encode() for each in view.candidates]
        for turn in view.turns:
            conversation = json.dumps([asdict(message) for message in turn.messages]).encode()
            scores = router.score(conversation, candidates).logits.astype(np.float64)
            found.append(Answer(view.kind, turn, scores))
    return found


def _answers(learner: Learner, maker: BatchMaker, views: Sequence[View]) -> dict[str, list[Answer]]:
    learner.router.eval()
    found: dict[str, list[Answer]] = {}
    for start in track(range(0, len(views), VIEWS_PER_BATCH), description="measuring", console=Console(stderr=True)):
        batch = maker.make(views[start : start + VIEWS_PER_BATCH])
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            scored: Scored = score(learner.router, learner.lower, batch, learner.rivals)
        for name, logits in {READER: scored.logits, **scored.rivals}.items():
            found.setdefault(name, []).extend(_rows(batch, logits))
    return found


def _rows(batch: Batch, logits: Tensor) -> Iterator[Answer]:
    for row, turn in enumerate(batch.turns):
        count = int(batch.candidate_mask[row].sum())
        scores = torch.cat([logits[row, :count], logits[row, -1:]])
        yield Answer(batch.kinds[row], turn, scores.numpy().astype(np.float64))


def measured(found: Sequence[Answer]) -> Measured:
    """Compute the figures of answers."""
    decisions = [answer.decision(temperature=1.0) for answer in found]
    width = max(len(answer.scores) for answer in found)
    padded = np.stack([np.insert(answer.scores, -1, np.full(width - len(answer.scores), -1e4)) for answer in found])
    labels = [width - 1 if each.turn.label == len(each.scores) - 1 else each.turn.label for each in found]
    pairs = list(zip(found, decisions, strict=True))
    return Measured(
        evaluation=evaluate(decisions),
        by_source=_counts([(answer.turn.source, decision.is_right) for answer, decision in pairs]),
        by_kind=_counts([(answer.turn.kind, decision.is_right) for answer, decision in pairs]),
        logits=padded.astype(np.float32),
        labels=np.array(labels),
        sources=np.array([answer.turn.source for answer in found]),
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
    of_reader = results[READER]
    np.savez_compressed(
        folder / f"{part}.npz", logits=of_reader.logits, labels=of_reader.labels, sources=of_reader.sources
    )
