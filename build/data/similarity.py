"""How alike two texts are, and which of many are alike.

The measure is the normalised indel similarity of rapidfuzz over normalised texts: 1 less the number of characters that
must be inserted or deleted, divided by the characters of both. It is exact, unlike hashing, and right for the short
texts of conversations. Finding all pairs is quadratic; the cut-off lets the library skip nearly all of them early.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz import fuzz, process

from data.program import tracked

NEAR_THRESHOLD = 0.85
"""From here on two texts are taken for versions of one."""

_ROWS_AT_ONCE = 256
_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts that are alike.

    Attributes:
        query: Index among the queries.
        choice: Index among the choices.
        similarity: From the threshold to 1.
    """

    query: int
    choice: int
    similarity: float


def similar_pairs(queries: Sequence[str], choices: Sequence[str], threshold: float) -> Iterator[Pair]:
    """Find all pairs that are alike, on all cores.

    Args:
        queries: Normalised texts.
        choices: Normalised texts.
        threshold: Least similarity, in (0, 1].

    Yields:
        The pairs by query, then by choice. O(queries x choices) time; memory for 256 rows at a time.
    """
    starts = range(0, len(queries), _ROWS_AT_ONCE)
    for start in tracked(starts, "comparing", total=len(starts)):
        scores = process.cdist(
            queries[start : start + _ROWS_AT_ONCE],
            choices,
            scorer=fuzz.ratio,
            score_cutoff=threshold * _PERCENT,
            dtype=np.float32,
            workers=-1,
        )
        for row, column in np.argwhere(scores > 0):
            yield Pair(start + int(row), int(column), round(float(scores[row, column]) / _PERCENT, 4))
