"""Whether a promised error holds on conversations that were not seen: many random halves of a benchmark folder.

Run ``python -m benchmarks.promise DIR PREDICTIONS``, the predictions being those of ``archrouter eval --predictions``.
Conversations, not turns, are split, so that no half knows a conversation of the other.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.policy import NO_MATCH_ID
from archrouter.evaluation.dataset import read_dataset
from archrouter.evaluation.prediction import read_predictions
from archrouter.workbench.promise import LADDER, RIGHT, UNROUTED, WRONG, rung_of, search_ladder

LEVEL = 0.9


def main() -> None:
    """Print, for each promise, how often it was given, how often it held, and the coverage it left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--max-error", type=float, nargs="+", default=[0.05, 0.1])
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    dataset = read_dataset(options.directory)
    predictions = read_predictions(options.predictions, dataset)
    conversations, columns = [], []
    for number, conversation in enumerate(dataset.conversations):
        for label in conversation.labels:
            predicted = predictions[conversation.id, label.turn]
            routed = RIGHT if predicted.route == label.route else WRONG
            columns.append(
                [
                    routed if predicted.route != NO_MATCH_ID and predicted.confidence >= threshold else UNROUTED
                    for threshold in LADDER
                ]
            )
            conversations.append(number)
    verdicts, owner = np.array(columns, dtype=np.int8).T, np.array(conversations)
    for max_error in options.max_error:
        print(_line(verdicts, owner, max_error, options.splits, options.seed))


def _line(verdicts: NDArray[np.int8], owner: NDArray[np.int64], max_error: float, splits: int, seed: int) -> str:
    generator = np.random.default_rng(seed)
    errors, coverages = [], []
    for _ in range(splits):
        first = generator.permutation(owner.max() + 1) < (owner.max() + 1) // 2
        kept = search_ladder(verdicts[:, first[owner]], max_error, 1 - LEVEL).kept
        if kept is not None:
            result = rung_of(kept.threshold, verdicts[LADDER.index(kept.threshold), ~first[owner]])
            errors.append(result.error or 0.0)
            coverages.append(result.coverage)
    held = sum(error <= max_error for error in errors)
    if not errors:
        return f"max error {max_error:g}: not promised in any of {splits} splits"
    return (
        f"max error {max_error:g}: promised in {len(errors)} of {splits} splits, held in {held} of them; other half: "
        f"error {np.mean(errors):.3f} (highest {max(errors):.3f}), coverage {np.mean(coverages):.2f}"
    )


if __name__ == "__main__":
    main()
