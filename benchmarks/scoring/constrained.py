"""Constrained decoding written without the service's trie, to check the service's posterior and decisions against.

It goes through the candidates' answers token by token and asks the model wherever more than one token is allowed.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.tokens import TokenIds

LogitsAfter = Callable[[TokenIds], Awaitable[NDArray[np.float32]]]


@dataclass(frozen=True, slots=True, eq=False)
class ConstrainedDecoding:
    """Everything constrained decoding says about one prompt.

    Attributes:
        greedy: Candidate at the end of the path that takes the most likely allowed token each time.
        log_probabilities: float64 [C], natural log: the product of the allowed tokens' shares along each path.
        call_count: Rows of logits asked for.
    """

    greedy: int
    log_probabilities: NDArray[np.float64]
    call_count: int


async def decode(sequences: Sequence[TokenIds], logits_after: LogitsAfter) -> ConstrainedDecoding:
    """Ask at every place where candidates part.

    Args:
        sequences: Full answer of every candidate, C >= 1; none is the beginning of another.
        logits_after: Gives the raw next-token logits after the prompt and some tokens of an answer.

    Returns:
        The greedy candidate and the exact distribution.
    """
    allowed: dict[TokenIds, set[int]] = defaultdict(set)
    for sequence in sequences:
        for depth, token in enumerate(sequence):
            allowed[sequence[:depth]].add(token)
    log_shares = {
        path: _log_shares(await logits_after(path), tokens) for path, tokens in allowed.items() if len(tokens) > 1
    }
    path: TokenIds = ()
    while path in allowed:
        shares = log_shares.get(path) or dict.fromkeys(allowed[path], 0.0)
        path += (max(shares, key=lambda token: shares[token]),)
    log_probabilities = [
        sum(
            log_shares[sequence[:depth]][token]
            for depth, token in enumerate(sequence)
            if sequence[:depth] in log_shares
        )
        for sequence in sequences
    ]
    return ConstrainedDecoding(list(sequences).index(path), np.array(log_probabilities), len(log_shares))


def _log_shares(row: NDArray[np.float32], tokens: Collection[int]) -> dict[int, float]:
    """Softmax over the allowed tokens, natural log, by ascending id."""
    order = sorted(tokens)
    logits = row[order].astype(np.float64)
    logits -= logits.max()
    return dict(zip(order, (logits - np.log(np.exp(logits).sum())).tolist(), strict=True))
