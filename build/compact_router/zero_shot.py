"""The sentence encoder as it was downloaded, on held-out domains: what training has to beat.

It compares the latest message with each candidate's text. No match is a cosine below a threshold, which is chosen for
the best accuracy on policy sets of the other domains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from compact_router.batches import BatchMaker, LowerStates, encode
from compact_router.held_out import VIEWS_PER_BATCH
from compact_router.network import Encoder
from compact_router.pretrained import load_transformer
from compact_router.views import View

THRESHOLDS = np.linspace(0.0, 0.8, 81)


def measure_zero_shot(
    maker: BatchMaker, known: Sequence[View], parts: Mapping[str, Sequence[View]], encoder: str
) -> dict[str, dict[str, float]]:
    """Choose the threshold on the known policy sets, and measure on the parts.

    Returns:
        Threshold, turn accuracy and number of turns of each part.
    """
    on_known = _nearest(maker, known, encoder)
    threshold = float(max(THRESHOLDS, key=lambda each: accuracy(on_known, each)))
    found = {}
    for part, views in parts.items():
        rows = _nearest(maker, views, encoder)
        found[part] = {"threshold": threshold, "turn_accuracy": accuracy(rows, threshold), "turn_count": len(rows)}
    return found


def accuracy(rows: NDArray[np.float64], threshold: float) -> float:
    """Give the share of right answers.

    Args:
        rows: float64 [K, 3]: the nearest candidate's cosine, whether it is right, and whether no match is.
        threshold: Cosine below which the answer is no match.

    Returns:
        In [0, 1].
    """
    cosine, is_right, is_none = rows.T
    return float(np.where(cosine < threshold, is_none, is_right).mean())


def _nearest(maker: BatchMaker, views: Sequence[View], encoder: str) -> NDArray[np.float64]:
    """Find the nearest candidate of every turn, as ``accuracy`` takes it."""
    network = Encoder(load_transformer(encoder)).eval()
    lower = LowerStates(network, 0)
    rows = []
    for start in track(range(0, len(views), VIEWS_PER_BATCH), description="encoding", console=Console(stderr=True)):
        batch = maker.make([_latest_only(view) for view in views[start : start + VIEWS_PER_BATCH]])
        with torch.inference_mode():
            vectors, _, _ = encode(network, lower, batch.conversations)
            pool, _, _ = encode(network, lower, batch.candidates)
            cosines = (pool[batch.pool_index] @ vectors.unsqueeze(-1)).squeeze(-1)
            nearest, chosen = cosines.masked_fill(~batch.candidate_mask, -1.0).max(dim=1)
        is_none = batch.labels == cosines.shape[1]
        rows.append(torch.stack([nearest, chosen == batch.labels, is_none], dim=1).double().numpy())
    return np.concatenate(rows)


def _latest_only(view: View) -> View:
    return replace(view, turns=tuple(replace(turn, messages=turn.messages[-1:]) for turn in view.turns))
