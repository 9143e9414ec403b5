"""Vectors to logits: a conditional logit model with a handful of fitted scalars.

A candidate's logit is a weighted sum of its cosines with the views of the conversation. The logit of no match is a
weighted sum of what the conversation says about itself. No candidate's logit depends on another candidate.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compact_model.cache import Vector
from compact_model.parameters import Weights

Matrix = NDArray[np.float32]
Features = NDArray[np.float64]

_NEAREST_TOPIC_COUNT = 5
"""Topics whose mean cosine is the cue ``topics``: a mean of several is steadier than the nearest one's."""


@dataclass(frozen=True, slots=True)
class Context:
    """The views that need earlier messages.

    Attributes:
        exchange: Unit vector of the assistant message right before the latest user message, with that message.
        history: Unit vector of the earlier messages' weighted mean.
    """

    exchange: Vector
    history: Vector


@dataclass(frozen=True, slots=True)
class Reading:
    """A conversation as the encoder sees it.

    Attributes:
        latest: Unit vector of the latest user message.
        shortness: exp(-tokens / scale) of that message, in (0, 1]: near 1 it can hardly stand alone.
        context: None where there is no earlier message.
    """

    latest: Vector
    shortness: float
    context: Context | None


@dataclass(frozen=True, slots=True)
class CueVectors:
    """Unit vectors of the cue sentences, float32 [sentences, 384] each.

    Attributes:
        courtesy: See ``CueSentences``.
        continuing: Likewise.
        topics: Likewise.
    """

    courtesy: Matrix
    continuing: Matrix
    topics: Matrix


def candidate_features(reading: Reading, candidates: Matrix) -> Features:
    """Describe how well each candidate fits the conversation.

    Args:
        reading: The conversation.
        candidates: float32 [N, 384], unit vectors.

    Returns:
        float64 [N, 7], columns in the order of ``CANDIDATE_FEATURES``; each row depends on its candidate alone.
    """
    latest = _cosines(candidates, reading.latest)
    if reading.context is None:
        nothing = np.zeros_like(latest)
        return np.stack([latest, *[nothing] * 6], axis=1)
    exchange = _cosines(candidates, reading.context.exchange)
    history = _cosines(candidates, reading.context.history)
    short = reading.shortness
    columns = [latest, latest, latest * short, exchange, exchange * short, history, history * short]
    return np.stack(columns, axis=1)


def no_match_features(reading: Reading, cues: CueVectors, candidate_count: int) -> Features:
    """Describe what speaks for no match.

    Args:
        reading: The conversation.
        cues: Vectors of the cue sentences.
        candidate_count: N >= 1. More candidates share the probability, so no match has to grow with them.

    Returns:
        float64 [9] in the order of ``NO_MATCH_FEATURES``.
    """
    in_context = 0.0 if reading.context is None else 1.0
    courtesy = float(_cosines(cues.courtesy, reading.latest).max())
    continuing = float(_cosines(cues.continuing, reading.latest).max())
    other_topics = float(np.sort(_cosines(cues.topics, reading.latest))[-_NEAREST_TOPIC_COUNT:].mean())
    return np.array(
        [
            1.0,
            in_context,
            in_context * reading.shortness,
            math.log(candidate_count),
            courtesy,
            in_context * courtesy,
            in_context * continuing,
            other_topics,
            in_context * other_topics,
        ]
    )


def logits(candidates: Features, no_match: Features, weights: Weights) -> Matrix:
    """Weigh the features.

    Args:
        candidates: float64 [N, 7].
        no_match: float64 [9].
        weights: The fitted scalars.

    Returns:
        float32 [N + 1], natural logarithms up to a constant; the last is no match.
    """
    scores = (candidates * np.array(weights.candidate)).sum(axis=1)
    no_match_score = (no_match * np.array(weights.no_match)).sum()
    return np.append(scores, no_match_score).astype(np.float32)


def _cosines(vectors: Matrix, vector: Vector) -> Features:
    """Multiply row by row: unlike a matrix product, a row's result cannot depend on its place among the rows."""
    return np.asarray((vectors * vector).sum(axis=1, dtype=np.float64))
