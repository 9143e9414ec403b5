"""Measure the model on a benchmark folder, without Triton: turn accuracy, calibration and no match per setting."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from compact_model.router import CompactRouter
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from compact_router.benchmark import LabelledTurn, benchmark_turns
from compact_router.manifest import MODEL_DIRECTORY, VERSION, read_json
from compact_router.router import load_router

BIN_COUNT = 15
"""Equal-width bins of confidence, as in Guo et al. 2017."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the model made of one labelled turn.

    Attributes:
        turn: The turn.
        predicted: Index of the leading candidate; the number of candidates for no match.
        confidence: Its calibrated probability.
        right_probability: The calibrated probability of the right answer.
    """

    turn: LabelledTurn
    predicted: int
    confidence: float
    right_probability: float

    @property
    def is_right(self) -> bool:
        """Whether the right answer leads."""
        return self.predicted == self.turn.label


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a set of turns.

    Attributes:
        turn_count: Labelled turns.
        turn_accuracy: Share whose right answer leads.
        no_match_recall: Of the turns that fit no route, the share answered so; None where there are none.
        false_no_match: Of the turns that fit a route, the share answered with no match; None where there are none.
        mean_confidence: Mean calibrated probability of the answer given.
        negative_log_likelihood: Mean, natural logarithm, of the calibrated probabilities.
    """

    turn_count: int
    turn_accuracy: float
    no_match_recall: float | None
    false_no_match: float | None
    mean_confidence: float
    negative_log_likelihood: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of a benchmark.

    Attributes:
        settings: By setting.
        micro: Of all turns together.
        macro_turn_accuracy: Mean of the settings' turn accuracies.
        expected_calibration_error: Mean distance of confidence and accuracy over bins of confidence, by turns.
        temperature: Applied to the logits before all probabilities here.
    """

    settings: dict[str, Figures]
    micro: Figures
    macro_turn_accuracy: float
    expected_calibration_error: float
    temperature: float


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m compact_router.evaluate", description=__doc__)
    parser.add_argument("benchmark", type=Path, help="folder with policies/ and one .jsonl per setting")
    parser.add_argument("--model-directory", type=Path, default=MODEL_DIRECTORY, help="default: the one in this tree")
    parser.add_argument("--threads", type=int, default=2, help="of ONNX Runtime (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    directory: Path = arguments.model_directory / VERSION
    temperature = float(read_json(directory / "router.json")["calibration"]["temperature"])
    router = load_router(directory, intra_op_thread_count=arguments.threads)
    evaluation = evaluate(decide(router, benchmark_turns(arguments.benchmark), temperature), temperature)
    if arguments.json:
        print(json.dumps(asdict(evaluation), indent=2))
    else:
        Console().print(as_table(evaluation))


def decide(router: CompactRouter, turns: Sequence[LabelledTurn], temperature: float) -> list[Decision]:
    """Answer every turn.

    Args:
        router: The model.
        turns: The turns.
        temperature: Of the softmax, > 0.

    Returns:
        One decision per turn.
    """
    decisions = []
    for turn in track(turns, description="routing", console=Console(stderr=True)):
        scores = router.score(turn.conversation, turn.candidates).logits.astype(np.float64) / temperature
        probabilities = np.exp(scores - np.logaddexp.reduce(scores))
        predicted = int(probabilities.argmax())
        decisions.append(Decision(turn, predicted, float(probabilities[predicted]), float(probabilities[turn.label])))
    return decisions


def evaluate(decisions: Sequence[Decision], temperature: float) -> Evaluation:
    """Compute the figures.

    Args:
        decisions: At least one.
        temperature: Reported as it is.

    Returns:
        The figures.
    """
    names = sorted({decision.turn.setting for decision in decisions})
    settings = {name: figures([item for item in decisions if item.turn.setting == name]) for name in names}
    return Evaluation(
        settings=settings,
        micro=figures(decisions),
        macro_turn_accuracy=float(np.mean([figure.turn_accuracy for figure in settings.values()])),
        expected_calibration_error=expected_calibration_error(
            np.array([decision.confidence for decision in decisions]),
            np.array([decision.is_right for decision in decisions]),
        ),
        temperature=temperature,
    )


def figures(decisions: Sequence[Decision]) -> Figures:
    """Compute the figures of some turns.

    Args:
        decisions: At least one.

    Returns:
        The figures.
    """
    says_no_match = [decision.predicted == len(decision.turn.candidates) for decision in decisions]
    pairs = list(zip(decisions, says_no_match, strict=True))
    return Figures(
        turn_count=len(decisions),
        turn_accuracy=float(np.mean([decision.is_right for decision in decisions])),
        no_match_recall=_share([said for decision, said in pairs if decision.turn.is_no_match]),
        false_no_match=_share([said for decision, said in pairs if not decision.turn.is_no_match]),
        mean_confidence=float(np.mean([decision.confidence for decision in decisions])),
        negative_log_likelihood=float(-np.mean(np.log([decision.right_probability for decision in decisions]))),
    )


def expected_calibration_error(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Compare confidence with accuracy.

    Args:
        confidences: float64 [K] in [0, 1].
        right: bool [K].

    Returns:
        In [0, 1]; 0 means that confidence is accuracy in every bin.
    """
    bins = np.minimum((confidences * BIN_COUNT).astype(int), BIN_COUNT - 1)
    gaps = [abs(float((confidences - right)[bins == index].sum())) for index in range(BIN_COUNT)]
    return sum(gaps) / len(confidences)


def as_table(evaluation: Evaluation) -> Table:
    """Lay the figures out for people.

    Args:
        evaluation: The figures.

    Returns:
        One row per setting, then all turns together.
    """
    table = Table(
        "setting",
        *("turns", "accuracy", "no match found", "false no match", "confidence", "NLL"),
        caption=(
            f"macro turn accuracy {evaluation.macro_turn_accuracy:.4f}, expected calibration error "
            f"{evaluation.expected_calibration_error:.4f} at temperature {evaluation.temperature}"
        ),
    )
    for name, item in [*evaluation.settings.items(), ("micro", evaluation.micro)]:
        shares = (item.turn_accuracy, item.no_match_recall, item.false_no_match, item.mean_confidence)
        cells = ["-" if share is None else f"{share:.4f}" for share in (*shares, item.negative_log_likelihood)]
        table.add_row(name, str(item.turn_count), *cells)
    return table


def _share(answers: Sequence[bool]) -> float | None:
    return float(np.mean(answers)) if answers else None


if __name__ == "__main__":
    main()
