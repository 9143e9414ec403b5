"""A language model's belief in each of a few answers, when it may give no other: brute force, to check the trie."""

import math
from collections.abc import Sequence

from archrouter.domain.tokens import TokenIds


def constrained_probabilities(answers: Sequence[TokenIds], log_probs: Sequence[Sequence[float]]) -> list[float]:
    """Renormalise full-vocabulary log-probabilities at every step over the tokens some answer goes on with.

    Over all answers and positions: it shares no code and no idea with `archrouter.domain.trie`.

    Args:
        answers: The tokens of each, C answers; none is the beginning of another.
        log_probs: Of each answer the natural-log probability of each token after those before it, over the whole
            vocabulary.

    Returns:
        C probabilities that sum to 1. O(C^2 x length).
    """
    probabilities = []
    for own, answer in enumerate(answers):
        total = 0.0
        for position in range(len(answer)):
            siblings = {
                other[position]: log_probs[index][position]
                for index, other in enumerate(answers)
                if len(other) > position and other[:position] == answer[:position]
            }
            highest = max(siblings.values())
            mass = sum(math.exp(value - highest) for value in siblings.values())
            total += log_probs[own][position] - highest - math.log(mass)
        probabilities.append(math.exp(total))
    return probabilities
