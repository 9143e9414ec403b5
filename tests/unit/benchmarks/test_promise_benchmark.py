"""The benchmark of promises, on a folder and predictions that are made up."""

import json
import sys
from pathlib import Path

import pytest
from benchmarks import promise
from tests.support.benchmark_folder import CONVERSATION, write_benchmark


def test_promise_is_counted_over_random_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is always right is promised and held in every split; what cannot be shown is promised in none."""
    conversations = [CONVERSATION | {"id": f"talk-{number}"} for number in range(400)]
    directory = write_benchmark(tmp_path, conversations)
    lines = [
        json.dumps({"id": one["id"], "turn": turn, "route": route, "confidence": 0.995})
        for one in conversations
        for turn, route in ((0, "code_write"), (2, "other"))
    ]
    predictions = tmp_path / "predictions.txt"
    predictions.write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["promise", str(directory), str(predictions), "--max-error", "0.001", "0.05"])

    promise.main()

    other_half = "other half: error 0.000 (highest 0.000), coverage 0.50"
    assert [
        "max error 0.001: not promised in any of 50 splits",
        f"max error 0.05: promised in 50 of 50 splits, held in 50 of them; {other_half}",
    ] == capsys.readouterr().out.splitlines()
