"""Fit the temperature on what cross-validation held out of training, and write router.json with what drift is seen by.

Each fold's network is measured on domains that it has not seen, and on unseen conversations of domains that it has: as
many turns of each, since a policy set in use may be either. A network is surer of the latter and more often right. The
sets of the own corpus' dev split and the services held out are domains that no network has seen.

What is written in other languages than English has a temperature of its own, by which the model brings it to the same.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from compact_model.parameters import OTHER_LANGUAGES, TEMPERATURE
from numpy.typing import NDArray

from archrouter.domain.posterior import Calibration, posterior_from_scores
from archrouter.domain.scoring import CalibrationReference
from compact_router.evaluate import expected_calibration_error
from compact_router.manifest import MODEL_DIRECTORY, VERSION, JsonObject, render_json
from compact_router.material import DEV_AS_WRITTEN, DEV_OTHER_LANGUAGES, DEV_SETS, NEW_CONVERSATIONS, NEW_DOMAINS
from compact_router.plan import LIMITS

KINDS = "kinds"
"""Of `benchmarks/data`: turns of every kind that users write, in sets that no network has seen."""

CALIBRATED = (NEW_DOMAINS, NEW_CONVERSATIONS, DEV_SETS, DEV_AS_WRITTEN, KINDS)
"""What the temperature is fitted on, where a folder holds it: all kinds of turns, none of them trained on."""

TEMPERATURE_RANGE = (0.2, 5.0)
TOLERANCE = 1e-5
DECIMALS = 4

Array = NDArray[np.float64]


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.calibrate", description=__doc__)
    parser.add_argument("folds", type=Path, nargs="+", help="output folders of train --fold or measure --output")
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    arguments = parser.parse_args()
    files = {
        part: [folder / f"{part}.npz" for folder in arguments.folds] for part in (*CALIBRATED, DEV_OTHER_LANGUAGES)
    }
    found = {part: [path for path in paths if path.exists()] for part, paths in files.items()}
    parts = {part: read_logits(paths) for part, paths in found.items() if paths}
    others = parts.pop(DEV_OTHER_LANGUAGES, ([], []))
    if not parts:
        parser.error(f"no folder holds {' or '.join(f'{part}.npz' for part in CALIBRATED)}; measure into it first")
    logits = [row for each, _ in parts.values() for row in each]
    labels = [label for _, each in parts.values() for label in each]
    temperature = round(fit_temperature(logits, labels), DECIMALS)
    document: JsonObject = {
        "window": asdict(LIMITS),
        "calibration": {"kind": "temperature", "temperature": temperature, "sample_count": len(labels)},
        "calibration_reference": reference(logits, temperature),
    }
    other_temperature = round(fit_temperature(*others) / temperature, DECIMALS) if others[0] else 1.0
    if others[0]:
        document[OTHER_LANGUAGES] = {TEMPERATURE: other_temperature}
    path: Path = arguments.model_directory / VERSION / "router.json"
    path.write_text(render_json(document), encoding="utf-8")
    print(f"temperature {temperature} on {len(labels)} turns; expected calibration error before and after:")
    for name, (some, right) in {**parts, "together": (logits, labels)}.items():
        print(f"  {name}: {error(some, right, 1.0):.4f}, {error(some, right, temperature):.4f}")
    if others[0]:
        print(f"temperature {other_temperature} of other languages on {len(others[1])} turns; before and after:")
        print(f"  {error(*others, temperature):.4f}, {error(*others, temperature * other_temperature):.4f}")
    print("now stamp the folder: python -m compact_router.stamp")


def read_logits(paths: Sequence[Path]) -> tuple[list[Array], list[int]]:
    """Read one part of what several folds were measured on.

    Returns:
        Logits, float64 [candidates + 1] of each turn, and the index of the right one in each.
    """
    files = [np.load(path) for path in paths]
    logits = [row.astype(np.float64) for file in files for row in file["logits"]]
    return logits, [int(label) for file in files for label in file["labels"]]


def fit_temperature(logits: Sequence[Array], labels: Sequence[int]) -> float:
    """Fit the temperature that makes softmax(logits / temperature) most likely.

    Args:
        logits: float64 [N + 1] of each turn; sizes may differ.
        labels: Index of the right one in each.

    Returns:
        Within ``TEMPERATURE_RANGE``. The loss is convex in its inverse, which is searched by golden sections.
    """
    low, high = 1 / TEMPERATURE_RANGE[1], 1 / TEMPERATURE_RANGE[0]
    ratio = (5**0.5 - 1) / 2

    def loss(inverse: float) -> float:
        pairs = zip(logits, labels, strict=True)
        return sum(float(np.logaddexp.reduce(scores * inverse) - scores[label] * inverse) for scores, label in pairs)

    while high - low > TOLERANCE:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return 2 / (low + high)


def reference(logits: Sequence[Array], temperature: float) -> dict[str, object]:
    """Say how the model answers these turns, for the service to see when those that it is sent are of another kind.

    Args:
        logits: As ``fit_temperature`` takes them.
        temperature: What was fitted.

    Returns:
        The parameter ``calibration_reference`` of config.pbtxt, see docs/observability.md.
    """
    calibration = Calibration(temperature, len(logits))
    found = CalibrationReference.of(
        [calibration.apply(posterior_from_scores(row.astype(np.float32))) for row in logits]
    )
    return {
        "top_probability_deciles": [round(each, DECIMALS) for each in found.top_probability_deciles],
        "no_match_share": round(found.no_match_share, DECIMALS),
        "mean_entropy": round(found.mean_entropy, DECIMALS),
    }


def error(logits: Sequence[Array], labels: Sequence[int], temperature: float) -> float:
    """Give the expected calibration error, in [0, 1], of logits as ``fit_temperature`` takes them."""
    scaled = [scores / temperature for scores in logits]
    confidences = [float(np.exp(scores.max() - np.logaddexp.reduce(scores))) for scores in scaled]
    right = [int(scores.argmax()) == label for scores, label in zip(scaled, labels, strict=True)]
    return expected_calibration_error(np.array(confidences), np.array(right))


if __name__ == "__main__":
    main()
