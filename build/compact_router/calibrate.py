"""Fit the temperature on what no training has seen, and write router.json with what drift is seen by.

Each fold's network is measured on domains that it has not seen, and on unseen conversations of domains that it has,
since a policy set in use may be either. A network is surer of the latter and more often right. The sets of the own
corpus' dev split are domains that no network has seen, and so are the kinds, in English and in other languages.

Each of these parts counts alike, whatever its size. The services held out do not count: their requests share few words
with their routes on purpose, so that a network that is as sure as it is right there is too unsure of what users ask.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archrouter.domain.posterior import Calibration, posterior_from_scores
from archrouter.domain.scoring import CalibrationReference
from compact_router.evaluate import expected_calibration_error
from compact_router.manifest import MODEL_DIRECTORY, VERSION, JsonObject, render_json
from compact_router.material import DEV_AS_WRITTEN, DEV_OTHER_LANGUAGES, DEV_SETS, NEW_CONVERSATIONS, NEW_DOMAINS
from compact_router.plan import LIMITS
from compact_router.services import SOURCE as OF_SERVICES

KINDS = "kinds"
"""Of `benchmarks/data`: turns of every kind that users write, in sets that no network has seen."""

CALIBRATED = (NEW_DOMAINS, NEW_CONVERSATIONS, DEV_SETS, DEV_AS_WRITTEN, KINDS, DEV_OTHER_LANGUAGES)
"""What the temperature is fitted on, where a folder holds it: all kinds of turns, none of them trained on."""

TEMPERATURE_RANGE = (0.2, 5.0)
TOLERANCE = 1e-5
DECIMALS = 4

Array = NDArray[np.float64]

Part = tuple[list[Array], list[int]]
"""Logits, float64 [candidates + 1] of each turn, and the index of the right one in each."""


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.calibrate", description=__doc__)
    parser.add_argument("folds", type=Path, nargs="+", help="output folders of train --fold or measure --output")
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    arguments = parser.parse_args()
    files = {part: [folder / f"{part}.npz" for folder in arguments.folds] for part in CALIBRATED}
    read = {part: read_logits(path for path in paths if path.exists()) for part, paths in files.items()}
    parts = {name: part for name, part in read.items() if part[0]}
    if not parts:
        parser.error(f"no folder holds {' or '.join(f'{part}.npz' for part in CALIBRATED)}; measure into it first")
    logits = [row for each, _ in parts.values() for row in each]
    labels = [label for _, each in parts.values() for label in each]
    temperature = round(fit_temperature([*parts.values()]), DECIMALS)
    document: JsonObject = {
        "window": asdict(LIMITS),
        "calibration": {"kind": "temperature", "temperature": temperature, "sample_count": len(labels)},
        "calibration_reference": reference(logits, temperature),
    }
    path: Path = arguments.model_directory / VERSION / "router.json"
    path.write_text(render_json(document), encoding="utf-8")
    print(f"temperature {temperature} on {len(labels)} turns; expected calibration error before and after:")
    for name, (some, right) in {**parts, "together": (logits, labels)}.items():
        print(f"  {name}: {error(some, right, 1.0):.4f}, {error(some, right, temperature):.4f}")
    print("now stamp the folder: python -m compact_router.stamp")


def read_logits(paths: Iterable[Path]) -> Part:
    """Read one part of what several folds were measured on, without the services held out."""
    files = [np.load(path) for path in paths]
    turns = [each for file in files for each in zip(file["logits"], file["labels"], file["sources"], strict=True)]
    kept = [(row.astype(np.float64), int(label)) for row, label, source in turns if source != OF_SERVICES]
    return [row for row, _ in kept], [label for _, label in kept]


def fit_temperature(parts: Sequence[Part]) -> float:
    """Fit the temperature that makes softmax(logits / temperature) most likely.

    Args:
        parts: At least one, none of them empty. Each counts alike, whatever its size.

    Returns:
        Within ``TEMPERATURE_RANGE``. The loss is convex in its inverse, which is searched by golden sections.
    """
    paired = [list(zip(*part, strict=True)) for part in parts]
    low, high = 1 / TEMPERATURE_RANGE[1], 1 / TEMPERATURE_RANGE[0]
    ratio = (5**0.5 - 1) / 2

    def loss(inverse: float) -> float:
        return sum(
            float(np.mean([np.logaddexp.reduce(row * inverse) - row[label] * inverse for row, label in turns]))
            for turns in paired
        )

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
        logits: float64 [candidates + 1] of each turn.
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
    """Give the expected calibration error, in [0, 1], of a part."""
    scaled = [scores / temperature for scores in logits]
    confidences = [float(np.exp(scores.max() - np.logaddexp.reduce(scores))) for scores in scaled]
    right = [int(scores.argmax()) == label for scores, label in zip(scaled, labels, strict=True)]
    return expected_calibration_error(np.array(confidences), np.array(right))


if __name__ == "__main__":
    main()
