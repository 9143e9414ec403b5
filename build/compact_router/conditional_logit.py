"""Maximum likelihood for a choice among candidates and no match (McFadden 1974), by Newton's method.

The log-likelihood is concave, so the answer does not depend on a starting point, a step size or a seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RIDGE = 1e-5
"""Penalty on the squared length of the scalars; it only keeps directions that the data say nothing about at 0."""

MAX_STEPS = 50
TOLERANCE = 1e-9
"""Decrease of the mean loss below which a step counts as none."""

TEMPERATURE_RANGE = (0.2, 5.0)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One decision to learn from.

    Attributes:
        candidates: float64 [N, C], features of each candidate.
        no_match: float64 [M], features of no match.
        label: Index of the right candidate, or N for no match.
        weight: Share in the loss, > 0.
    """

    candidates: Array
    no_match: Array
    label: int
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """All alternatives of all choices below one another.

    Attributes:
        rows: float64 [R, C + M]; a candidate's row is zero in the M columns and that of no match in the C.
        starts: int64 [K], first row of each choice; its last row is no match.
        right: int64 [K], row of the right alternative.
        weights: float64 [K], summing to 1.
    """

    rows: Array
    starts: NDArray[np.int64]
    right: NDArray[np.int64]
    weights: Array


def fit_weights(choices: Sequence[Choice]) -> tuple[Array, Array]:
    """Fit the scalars.

    Args:
        choices: At least one.

    Returns:
        float64 [C] for candidates and float64 [M] for no match.

    Raises:
        ArithmeticError: When Newton's method does not settle, which separable data can cause.
    """
    table = _stack(choices)
    scalars = np.zeros(table.rows.shape[1])
    decrease = np.inf
    loss, gradient, curvature = _derivatives(table, scalars)
    for _ in range(MAX_STEPS):
        direction = np.linalg.solve(curvature, gradient)
        step = 1.0
        while (next_loss := _loss(table, scalars - step * direction)) > loss and step > TOLERANCE:
            step /= 2
        scalars = scalars - step * direction
        decrease = loss - next_loss
        loss, gradient, curvature = _derivatives(table, scalars)
        if decrease < TOLERANCE:
            candidate_count = choices[0].candidates.shape[1]
            return scalars[:candidate_count], scalars[candidate_count:]
    msg = f"the fit had not settled after {MAX_STEPS} steps; the last one lowered the loss by {decrease}"
    raise ArithmeticError(msg)


def fit_temperature(logits: Sequence[Array], labels: Sequence[int], weights: Sequence[float]) -> float:
    """Fit the temperature that makes softmax(logits / temperature) most likely.

    Args:
        logits: float64 [N + 1] of each decision; sizes may differ.
        labels: Index of the right one in each.
        weights: Share of each in the loss.

    Returns:
        Within ``TEMPERATURE_RANGE``. The loss is convex in its inverse, which is searched by golden sections.
    """
    low, high = 1 / TEMPERATURE_RANGE[1], 1 / TEMPERATURE_RANGE[0]
    ratio = (5**0.5 - 1) / 2

    def loss(inverse: float) -> float:
        return sum(
            weight * float(np.logaddexp.reduce(scores * inverse) - scores[label] * inverse)
            for scores, label, weight in zip(logits, labels, weights, strict=True)
        )

    while high - low > TOLERANCE**0.5:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return 2 / (low + high)


def _stack(choices: Sequence[Choice]) -> _Table:
    candidate_width, no_match_width = choices[0].candidates.shape[1], len(choices[0].no_match)
    blocks = []
    for choice in choices:
        block = np.zeros((len(choice.candidates) + 1, candidate_width + no_match_width))
        block[:-1, :candidate_width] = choice.candidates
        block[-1, candidate_width:] = choice.no_match
        blocks.append(block)
    starts = np.cumsum([0, *(len(block) for block in blocks[:-1])])
    weights = np.array([choice.weight for choice in choices])
    return _Table(
        rows=np.concatenate(blocks),
        starts=starts,
        right=starts + np.array([choice.label for choice in choices]),
        weights=weights / weights.sum(),
    )


def _log_probabilities(table: _Table, scalars: Array) -> Array:
    scores = table.rows @ scalars
    return np.asarray(scores - _spread(table, np.logaddexp.reduceat(scores, table.starts)))


def _loss(table: _Table, scalars: Array) -> float:
    likelihood = table.weights @ _log_probabilities(table, scalars)[table.right]
    return float(RIDGE * scalars @ scalars - likelihood)


def _derivatives(table: _Table, scalars: Array) -> tuple[float, Array, Array]:
    """Return the loss, its gradient and its matrix of second derivatives."""
    probabilities = np.exp(_log_probabilities(table, scalars))[:, None]
    means = np.add.reduceat(table.rows * probabilities, table.starts)
    gradient = table.weights @ (means - table.rows[table.right]) + 2 * RIDGE * scalars
    centred = table.rows - _spread(table, means)
    shares = _spread(table, table.weights)[:, None] * probabilities
    curvature = (centred * shares).T @ centred + 2 * RIDGE * np.eye(len(scalars))
    return _loss(table, scalars), gradient, curvature


def _spread(table: _Table, values: Array) -> Array:
    """Repeat each choice's value for each of its rows."""
    counts = np.diff(table.starts, append=len(table.rows))
    return np.repeat(values, counts, axis=0)
