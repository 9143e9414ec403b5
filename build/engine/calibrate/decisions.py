"""Labelled decisions: an endpoint's posterior for a question, the right candidate, and what a calibration is worth."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.policy import NO_MATCH_ID
from archrouter.domain.posterior import Calibration, Posterior
from archrouter.domain.scoring import CalibrationReference
from archrouter.evaluation import reliability as confidence
from archrouter.evaluation.turns import Scenario, ScoredTurn
from archrouter.inference.language_model import LanguageModelBackend
from engine.verify.questions import Question


@dataclass(frozen=True, slots=True, eq=False)
class LabelledDecision:
    """One decision before calibration, about a message of 0-based index ``turn``.

    Its candidates are the route ids in policy order, then ``other``; ``right`` is the index of the right one.
    """

    conversation_id: str
    turn: int
    candidates: tuple[str, ...]
    posterior: Posterior
    right: int

    def log_loss(self, calibration: Calibration) -> float:
        """Return how surprising the right candidate is."""
        probability = calibration.apply(self.posterior)[self.right]
        return float(-np.log(max(probability, np.finfo(np.float64).tiny)))

    def scored(self, calibration: Calibration) -> ScoredTurn:
        """Return what ``archrouter eval`` measures: the leading candidate with its confidence."""
        probabilities = calibration.apply(self.posterior)
        leader = int(probabilities.argmax())
        return ScoredTurn(
            conversation_id=self.conversation_id,
            setting="",
            source="",
            policy_set="",
            scenario=Scenario.FINE_QUERY_FINE_ANSWER,
            turn=self.turn,
            expected=self.candidates[self.right],
            predicted=self.candidates[leader],
            confidence=min(float(probabilities[leader]), 1.0),
        )


async def decide_all(
    backend: LanguageModelBackend,
    questions: Sequence[Question],
    *,
    concurrency: int,
    call_timeout_s: float,
    on_done: Callable[[int], None],
) -> list[LabelledDecision]:
    """Put every question to the endpoint."""
    slots = asyncio.Semaphore(concurrency)
    done_count = 0

    async def decide(question: Question) -> LabelledDecision:
        nonlocal done_count
        async with slots:
            scoring = await backend.score(question.request, timeout_s=call_timeout_s)
        done_count += 1
        on_done(done_count)
        candidates = (*(route.id for route in question.policy_set.routes), NO_MATCH_ID)
        right = candidates.index(question.label.route)
        return LabelledDecision(question.source.id, question.label.turn, candidates, scoring.posterior, right)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(decide(question)) for question in questions]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a map is worth: the log loss of each decision over all its candidates, and the figures of its confidence.

    The squared errors are of each confidence against 1 where it is right and 0 where it is wrong; their mean is the
    Brier score.
    """

    log_losses: NDArray[np.float64]
    squared_errors: NDArray[np.float64]
    confidence: confidence.Reliability

    @property
    def log_loss(self) -> float:
        """Mean of the log losses."""
        return float(self.log_losses.mean())


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The map to take."""

    kind: str
    calibration: Calibration
    reference: CalibrationReference
    uncalibrated: Measured
    cross_validated: Mapping[str, Measured]
    fold_count: int
    conversation_count: int
    reason: str


def measure(decisions: Sequence[LabelledDecision], applied: Sequence[Calibration]) -> Measured:
    """Compare calibrated decisions with what is right."""
    pairs = list(zip(decisions, applied, strict=True))
    scored = [decision.scored(calibration) for decision, calibration in pairs]
    figures = confidence.reliability(scored)
    if figures is None:
        msg = "there is no decision to measure"
        raise ValueError(msg)
    return Measured(
        log_losses=np.array([decision.log_loss(calibration) for decision, calibration in pairs]),
        squared_errors=np.array([((turn.confidence or 0.0) - turn.is_right) ** 2 for turn in scored]),
        confidence=figures,
    )
