"""``archrouter compare``."""

import json
from pathlib import Path

from click.testing import CliRunner, Result
from tests.support.benchmark_folder import CONVERSATION, write_benchmark

from archrouter.cli import cli

RIGHT = [("talk-1", 0, "code_write"), ("talk-1", 2, "other")]
WRONG = [("talk-1", 0, "code"), ("talk-1", 2, "other")]


def _predictions(path: Path, turns: list[tuple[str, int, str]]) -> str:
    records = [{"id": one, "turn": turn, "route": route, "confidence": 0.5} for one, turn, route in turns]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return str(path)


def _compare(
    directory: Path, first: list[tuple[str, int, str]], second: list[tuple[str, int, str]], *arguments: str
) -> Result:
    (directory / "benchmark").mkdir()
    dataset = write_benchmark(directory / "benchmark", [CONVERSATION])
    files = [_predictions(directory / "a.jsonl", first), _predictions(directory / "b.jsonl", second)]
    return CliRunner().invoke(cli, ["compare", *files, "--dataset", str(dataset), *arguments])


def test_compare_prints_one_json_document(tmp_path: Path) -> None:
    """With --json standard output is the comparison and nothing else."""
    result = _compare(tmp_path, WRONG, RIGHT, "--json")

    document = json.loads(result.stdout)
    assert 0 == result.exit_code
    assert {"turns": 2, "only_first": 0, "only_second": 0, "both": 2, "changed": 1} == document["counts"]
    assert (0.5, 0.5, 1.0) == tuple(document["units"]["turn"][name] for name in ("difference", "first", "second"))
    assert (0.0, 1.0) == tuple(document["units"]["conversation"][name] for name in ("first", "second"))
    assert 1.0 == document["settings"]["talk"]["p_value"]


def test_compare_prints_tables(tmp_path: Path) -> None:
    """For people there are tables by unit, scenario and setting, and what the figures mean."""
    result = _compare(tmp_path, WRONG, RIGHT)

    for text in ("turn", "conversation", "fQfA", "talk", "+50.0", "McNemar", "1 of 2 decisions differ"):
        assert text in result.stdout


def test_compare_says_which_run_misses_turns(tmp_path: Path) -> None:
    """A prediction that only one run has is said: it counts against the other."""
    result = _compare(tmp_path, RIGHT, RIGHT[:1])

    assert 0 == result.exit_code
    assert "1 of 2 turns have a prediction in" in result.stderr
    assert "a.jsonl only" in result.stderr


def test_compare_of_common_turns_only(tmp_path: Path) -> None:
    """With --common a run over a part of the dataset is compared over that part."""
    result = _compare(tmp_path, RIGHT, RIGHT[:1], "--common", "--json")

    document = json.loads(result.stdout)
    assert (1, 0.0) == (document["counts"]["turns"], document["units"]["turn"]["difference"])
    assert "" == result.stderr


def test_compare_of_chosen_settings(tmp_path: Path) -> None:
    """Settings can be chosen; one that the dataset does not have is a usage error."""
    result = _compare(tmp_path, WRONG, RIGHT, "--settings", "walk")

    assert 2 == result.exit_code
    assert "no setting walk" in result.stderr


def test_compare_of_broken_predictions_is_a_usage_error(tmp_path: Path) -> None:
    """A file that cannot be read has exit code 2 and names file and line."""
    result = _compare(tmp_path, WRONG, [("walk-9", 0, "code")])

    assert 2 == result.exit_code
    assert "b.jsonl:1: id: 'walk-9' turn 0 is no labelled turn of the dataset" in result.stderr


def test_compare_of_nothing_is_a_usage_error(tmp_path: Path) -> None:
    """Two empty files are no comparison."""
    result = _compare(tmp_path, [], [])

    assert 2 == result.exit_code
    assert "no prediction to compare" in result.stderr
