"""The posterior over candidates: which answer the model gives how much of its belief.

Candidates are the routes in policy order, then the no-match answer. Everything here is linear in their number.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.errors import BackendProtocolError


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """A normalised distribution over the candidates, as the model gave it, before calibration.

    Attributes:
        log_probabilities: float64 [C], natural log; ``exp`` of them sums to 1 within 1e-6.
        exact: bool [C]; False where a value is an even share of a larger mass the model was not asked to split.
    """

    log_probabilities: NDArray[np.float64]
    exact: NDArray[np.bool_]


def posterior_from_scores(scores: NDArray[np.float32]) -> Posterior:
    """Normalise independent scores.

    Args:
        scores: float32 [C], C >= 2, logits: natural log up to a common constant. The last is no match.

    Returns:
        The softmax of the scores, every entry exact.

    Raises:
        BackendProtocolError: When a score is not finite, because no decision can rest on it.
    """
    if not np.isfinite(scores).all():
        msg = f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite"
        raise BackendProtocolError(msg)
    return Posterior(log_softmax(scores.astype(np.float64)), np.ones(scores.shape, dtype=np.bool_))


def log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalise logits without overflow.

    Args:
        scores: float64 [C], C >= 1, natural log up to a constant; ``-inf`` means impossible, one must be finite.

    Returns:
        float64 [C], natural-log probabilities.
    """
    shifted = scores - scores.max()
    normalised: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return normalised
