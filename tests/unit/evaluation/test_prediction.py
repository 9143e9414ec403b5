"""Files of predictions."""

import json
from pathlib import Path

import pytest
from tests.support.benchmark_folder import write_benchmark

from archrouter.evaluation.dataset import Dataset, read_dataset
from archrouter.evaluation.prediction import PredictionsError, read_predictions, scored_predictions

FIRST = {"id": "talk-1", "turn": 0, "route": "code_write", "confidence": 0.75}


def _write(directory: Path, *lines: object) -> tuple[Path, Dataset]:
    path = directory / "predictions.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    (directory / "benchmark").mkdir()
    return path, read_dataset(write_benchmark(directory / "benchmark"))


def test_predictions_become_scored_turns(tmp_path: Path) -> None:
    """Every labelled turn is there, in the order of the dataset; one without a line has no prediction."""
    path, dataset = _write(tmp_path, FIRST)

    turns = scored_predictions(dataset, read_predictions(path, dataset))

    assert [(0, "code_write", 0.75), (2, None, None)] == [
        (turn.turn, turn.predicted, turn.confidence) for turn in turns
    ]
    assert [True, False] == [turn.is_right for turn in turns]


def test_invented_route_is_wrong_but_no_error(tmp_path: Path) -> None:
    """Another router may answer what no policy set has: that is a wrong answer, not a broken file."""
    path, dataset = _write(tmp_path, FIRST | {"route": "nonsense"})

    assert [False, False] == [turn.is_right for turn in scored_predictions(dataset, read_predictions(path, dataset))]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": "walk-1"}, "id: 'walk-1' turn 0 is no labelled turn of the dataset"),
        ({"turn": 1}, "id: 'talk-1' turn 1 is no labelled turn of the dataset"),
        ({}, "id: 'talk-1' turn 0 has a prediction already"),
        ({"turn": 2, "confidence": 1.5}, "confidence: 1.5 is outside [0, 1]"),
        ({"turn": 2, "confidence": "high"}, 'confidence: is "high"; it must be a number'),
        ({"turn": 2, "confidence": True}, "confidence: is true; it must be a number"),
        ({"turn": 2, "confidence": float("nan")}, "confidence: is NaN; it must be a number"),
        ({"turn": 2, "route": None}, "route: is null; it must be text that is not only spaces"),
    ],
)
def test_bad_line_is_an_error_with_file_and_line(tmp_path: Path, change: dict[str, object], problem: str) -> None:
    """Whatever is wrong with a prediction is named with its file, line and field."""
    path, dataset = _write(tmp_path, FIRST, FIRST | change)

    with pytest.raises(PredictionsError) as raised:
        read_predictions(path, dataset)

    assert str(raised.value).startswith(f"{path}:2: {problem}")


def test_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are an error with the file's name."""
    path, dataset = _write(tmp_path)
    path.write_bytes(b"\xff")

    with pytest.raises(PredictionsError, match=r"predictions\.jsonl: cannot be read as UTF-8 text"):
        read_predictions(path, dataset)
