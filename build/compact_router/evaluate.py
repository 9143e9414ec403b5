"""Figures of decisions on labelled turns: accuracy, calibration, and how no match is found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compact_router.benchmark import LabelledTurn

BIN_COUNT = 15
"""Equal-width bins of confidence, as in Guo et al. 2017."""

CHANCE_DRAWS = 500


@dataclass(frozen=True, slots=True)
class Decision:
    """What the model made of one labelled turn.

    Attributes:
        turn: The turn.
        predicted: Index of the leading candidate; the number of candidates for no match.
        confidence: Its probability.
        right_probability: The probability of the right answer.
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
        mean_confidence: Mean probability of the answer given.
        negative_log_likelihood: Mean, natural logarithm, of the right answer's probability.
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
    """

    settings: dict[str, Figures]
    micro: Figures
    macro_turn_accuracy: float
    expected_calibration_error: float


def evaluate(decisions: Sequence[Decision]) -> Evaluation:
    """Compute the figures of at least one decision."""
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
    )


def figures(decisions: Sequence[Decision]) -> Figures:
    """Compute the figures of some turns, at least one."""
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


def calibration_error_by_chance(confidences: NDArray[np.float64]) -> float:
    """Tell the calibration error that so many answers show on average when confidence is exactly the truth.

    Few answers fill no bin evenly: what a measurement has beyond this is the model's.

    Args:
        confidences: float64 [K] in [0, 1].

    Returns:
        In [0, 1], as `expected_calibration_error`; the mean of `CHANCE_DRAWS` draws, the same ones every time.
    """
    random = np.random.default_rng(0)
    drawn = random.random((CHANCE_DRAWS, len(confidences))) < confidences
    return float(np.mean([expected_calibration_error(confidences, each) for each in drawn]))


def _share(answers: Sequence[bool]) -> float | None:
    return float(np.mean(answers)) if answers else None
