"""Labelled decisions: the engine's posterior for each question, as the service sees it, and the right candidate."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from archrouter.domain.policy import NO_MATCH_ID
from archrouter.domain.posterior import Calibration, Posterior
from archrouter.evaluation.turns import Scenario, ScoredTurn
from archrouter.inference.language_model import LanguageModelBackend
from engine.verify.questions import Question


@dataclass(frozen=True, slots=True, eq=False)
class LabelledDecision:
    """One decision before calibration.

    Attributes:
        conversation_id: Its conversation.
        turn: 0-based index of the message.
        candidates: The C candidates: route ids in policy order, then ``other``.
        posterior: The engine's, over them.
        right: Index of the right one.
    """

    conversation_id: str
    turn: int
    candidates: tuple[str, ...]
    posterior: Posterior
    right: int

    def log_loss(self, calibration: Calibration) -> float:
        """Return how surprising the right candidate is.

        Args:
            calibration: What to apply first.

        Returns:
            The negative natural log of its probability, >= 0; capped where that is 0.
        """
        probability = calibration.apply(self.posterior)[self.right]
        return float(-np.log(max(probability, np.finfo(np.float64).tiny)))

    def scored(self, calibration: Calibration) -> ScoredTurn:
        """Return what ``archrouter eval`` measures: the leading candidate with its confidence.

        Args:
            calibration: What to apply first.

        Returns:
            The scored turn.
        """
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
    """Put every question to the engine.

    Args:
        backend: Warm; with the service's own epsilon, so that the decisions are those the service makes.
        questions: What to ask.
        concurrency: Questions at a time, >= 1.
        call_timeout_s: Longest wait for one, in seconds.
        on_done: Told how many are answered.

    Returns:
        One decision for each, in order.

    Raises:
        ArchRouterError: For the first question that has no answer; a calibration on what is left would be biased.
    """
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
