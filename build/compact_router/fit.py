"""Fit the scalars of router.json, and their temperature on conversations kept out of the fit.

Read the training sources only: a benchmark that has been fitted to measures nothing.
"""

import argparse
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from compact_model.digest import PREFIX
from compact_model.parameters import CANDIDATE_FEATURES, NO_MATCH_FEATURES, Weights
from compact_model.router import CompactRouter
from compact_model.scoring import logits
from numpy.typing import NDArray
from rich.progress import track

from compact_router.benchmark import LabelledTurn
from compact_router.conditional_logit import Choice, fit_temperature, fit_weights
from compact_router.manifest import MODEL_DIRECTORY, VERSION, JsonObject, read_json, render_json, update_manifest
from compact_router.router import load_router
from compact_router.training_turns import SEED, SOURCES, draw_training_turns

HELD_OUT_DENOMINATOR = 3
"""One conversation in this many is kept out of the fit, for the temperature and the accuracy reported."""

DECIMALS = 4


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.fit", description=__doc__)
    parser.add_argument("sources", type=Path, help="folder of the training sources")
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime (default: %(default)s)")
    arguments = parser.parse_args()
    directory: Path = arguments.model_directory / VERSION
    router = load_router(directory, intra_op_thread_count=arguments.threads)
    turns = draw_training_turns(arguments.sources)
    choices = make_choices(router, turns)
    held_out = np.array([is_held_out(turn) for turn in turns])
    weights = fit([choice for choice, out in zip(choices, held_out, strict=True) if not out])
    scores = [logits(choice.candidates, choice.no_match, weights).astype(np.float64) for choice in choices]
    kept_out = [index for index, out in enumerate(held_out) if out]
    temperature = fit_temperature(
        [scores[index] for index in kept_out],
        [choices[index].label for index in kept_out],
        [choices[index].weight for index in kept_out],
    )
    right = np.array([choice.label == int(score.argmax()) for choice, score in zip(choices, scores, strict=True)])
    accuracy = accuracy_by_setting([turns[index] for index in kept_out], right[held_out])
    write_parameters(directory / "router.json", weights, temperature, sample_count=len(kept_out))
    update_manifest(
        arguments.model_directory,
        fit={
            "seed": SEED,
            "sources": {f"{name}.jsonl.gz": _digest(arguments.sources / f"{name}.jsonl.gz") for name in SOURCES},
            "fitted_turn_count": int((~held_out).sum()),
            "held_out_turn_count": len(kept_out),
            "held_out_turn_accuracy": accuracy,
        },
    )
    print(render_json({"temperature": temperature, "held_out_turn_accuracy": accuracy}), end="")
    print("now stamp the folder: python -m compact_router.stamp")


def is_held_out(turn: LabelledTurn) -> bool:
    """Decide by the conversation's id alone, so that its turns stay together whatever else is drawn.

    Args:
        turn: Any turn.

    Returns:
        Whether it is kept out of the fit.
    """
    return hashlib.sha256(turn.conversation_id.encode()).digest()[0] % HELD_OUT_DENOMINATOR == 0


def make_choices(router: CompactRouter, turns: Sequence[LabelledTurn]) -> list[Choice]:
    """Compute each turn's features with the model itself.

    Args:
        router: The model; its present weights play no part.
        turns: What to learn from.

    Returns:
        One choice per turn. Each setting weighs the same, however many turns it has.
    """
    counts = Counter(turn.setting for turn in turns)
    choices = []
    for turn in track(turns, description="encoding"):
        candidates, no_match = router.features(router.read(turn.conversation), turn.candidates)
        choices.append(Choice(candidates, no_match, turn.label, 1 / counts[turn.setting]))
    return choices


def fit(choices: Sequence[Choice]) -> Weights:
    """Fit and round the scalars.

    Args:
        choices: What to learn from.

    Returns:
        The weights, as they are written.
    """
    candidate, no_match = fit_weights(choices)
    return Weights(tuple(map(float, candidate.round(DECIMALS))), tuple(map(float, no_match.round(DECIMALS))))


def accuracy_by_setting(turns: Sequence[LabelledTurn], right: NDArray[np.bool_]) -> dict[str, float]:
    """Report how often the leading candidate is the right one.

    Args:
        turns: The turns.
        right: bool [turns].

    Returns:
        Setting to share, with ``macro`` for the mean of the settings.
    """
    settings = np.array([turn.setting for turn in turns])
    shares = {name: float(right[settings == name].mean()) for name in sorted(set(settings))}
    shares["macro"] = float(np.mean(list(shares.values())))
    return {name: round(share, DECIMALS) for name, share in shares.items()}


def write_parameters(path: Path, weights: Weights, temperature: float, *, sample_count: int) -> None:
    """Replace the fitted part of router.json.

    Args:
        path: router.json, whose other keys stay.
        weights: The scalars.
        temperature: Of the softmax, > 0.
        sample_count: Turns the temperature was fitted on.
    """
    document: JsonObject = read_json(path)
    document["weights"] = {
        "candidate": dict(zip(CANDIDATE_FEATURES, weights.candidate, strict=True)),
        "no_match": dict(zip(NO_MATCH_FEATURES, weights.no_match, strict=True)),
    }
    document["calibration"] = {
        "kind": "temperature",
        "temperature": round(temperature, DECIMALS),
        "sample_count": sample_count,
    }
    path.write_text(render_json(document), encoding="utf-8")


def _digest(path: Path) -> str:
    return PREFIX + hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
