"""Predictions, and the file that lists them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from archrouter.evaluation.dataset import Dataset
from archrouter.evaluation.turns import ScoredTurn, scored_turn
from archrouter.strict_json import Fields, InvalidDataError, parse_object


class PredictionsError(Exception):
    """A file of predictions cannot be used; the text starts with ``file:`` or ``file:line:``."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the service decided.

    Attributes:
        route: Id of the route, or ``other`` where no route was chosen.
        confidence: Confidence of the decision, in [0, 1].
        duration_s: How long the call took, seen from the client, in seconds; its retries included.
    """

    route: str
    confidence: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class PredictedTurn:
    """One line of a file of predictions.

    Attributes:
        conversation_id: Id of the conversation.
        turn: 0-based index of the message.
        route: Id of the predicted route, or ``other``.
        confidence: In [0, 1].
    """

    conversation_id: str
    turn: int
    route: str
    confidence: float

    @property
    def key(self) -> tuple[str, int]:
        """What tells a turn from all others."""
        return self.conversation_id, self.turn


PredictedTurns = Mapping[tuple[str, int], PredictedTurn]
"""Predictions by their keys."""


def read_predictions(path: Path, dataset: Dataset) -> PredictedTurns:
    """Read a file that ``archrouter eval --predictions`` wrote, or another router's in the same form.

    Args:
        path: JSON Lines of ``id``, ``turn``, ``route`` and ``confidence``.
        dataset: What was asked.

    Returns:
        The predictions by their keys. A route that the policy set does not have is kept: it is wrong.

    Raises:
        PredictionsError: For the first thing that is wrong.
    """
    known = {(conversation.id, label.turn) for conversation in dataset.conversations for label in conversation.labels}
    predictions: dict[tuple[str, int], PredictedTurn] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read as UTF-8 text: {error}"
        raise PredictionsError(msg) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            prediction = _predicted_turn(parse_object(line))
            _check(prediction, known, predictions)
        except InvalidDataError as error:
            msg = f"{path}:{number}: {error}"
            raise PredictionsError(msg) from error
        predictions[prediction.key] = prediction
    return predictions


def scored_predictions(dataset: Dataset, predictions: PredictedTurns) -> list[ScoredTurn]:
    """Put labels and predictions side by side, in the order of the dataset; a missing turn has no prediction."""
    turns = []
    for conversation in dataset.conversations:
        for label in conversation.labels:
            found = predictions.get((conversation.id, label.turn))
            route, confidence = (found.route, found.confidence) if found else (None, None)
            turns.append(scored_turn(dataset, conversation, label, route, confidence))
    return turns


def _predicted_turn(fields: Fields) -> PredictedTurn:
    confidence = fields.number("confidence")
    if not 0.0 <= confidence <= 1.0:
        raise InvalidDataError(path="confidence", problem=f"{confidence} is outside [0, 1]; it is a probability")
    return PredictedTurn(fields.text("id"), fields.integer("turn"), fields.text("route"), confidence)


def _check(prediction: PredictedTurn, known: set[tuple[str, int]], earlier: PredictedTurns) -> None:
    if prediction.key not in known:
        problem = f"{prediction.conversation_id!r} turn {prediction.turn} is no labelled turn of the dataset"
        raise InvalidDataError(path="id", problem=problem)
    if prediction.key in earlier:
        problem = f"{prediction.conversation_id!r} turn {prediction.turn} has a prediction already"
        raise InvalidDataError(path="id", problem=problem)
