"""The verification with its real oracle: transformers, in float32. Needs the extra `build`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch
from engine.verify.__main__ import main
from engine.verify.oracle import TransformersOracle
from safetensors.torch import load_file, save_file
from tiny_checkpoint.labelled import write_records

from archrouter.bundles.loader import PromptBundle

Run = Callable[..., "CompletedProcess[str]"]
NOISE = 0.05
"""Added to every weight, times a normal deviate."""

torch.set_num_threads(1)


def command(endpoint: str, bundle: PromptBundle, checkpoint: Path) -> list[str]:
    """Name the engine, and demand what float32 against float32 must reach."""
    return [
        *("--endpoint", endpoint, "--model", "reference_lm"),
        *("--bundle", str(bundle.directory), "--checkpoint", str(checkpoint), "--overload-calls", "8"),
        *("--min-route-agreement", "1", "--max-probability-difference", "1e-5"),
    ]


def test_the_engine_agrees_with_its_checkpoint_on_every_golden_question(
    run: Run, small_queue_endpoint: str, bundle: PromptBundle, checkpoint: Path, tmp_path: Path
) -> None:
    """Brute force in torch and the trie over Triton differ by less than 1e-5 on all that fit the toy's prompt."""
    result = run(
        "engine.verify", *command(small_queue_endpoint, bundle, checkpoint), "--output", str(tmp_path / "report")
    )

    assert 0 == result.returncode, result.stdout + result.stderr
    report = json.loads((tmp_path / "report" / "verify.json").read_text())
    assert 65 == report["question_count"]
    assert {"pass"} == {check["verdict"] for check in report["checks"]}
    assert (tmp_path / "report" / "verify.md").read_text() in result.stdout


def golden_records(checkpoint: Path) -> list[dict[str, Any]]:  # Any: JSON
    """Read what the training program computed with torch, each candidate on its own."""
    return [json.loads(line) for line in (checkpoint / "golden.jsonl").read_text("utf-8").splitlines()]


def test_the_oracle_repeats_what_the_training_computed(checkpoint: Path) -> None:
    """Side by side after one reading of the prompt, or each on its own from the start: the same log-probabilities."""
    oracle = TransformersOracle(checkpoint, "cpu")
    for record in golden_records(checkpoint):
        answers = list(record["candidates"].values())

        found = oracle.answer_log_probabilities(
            tuple(record["prompt_token_ids"]), [tuple(answer["token_ids"]) for answer in answers]
        )

        for answer, log_probs in zip(answers, found, strict=True):
            assert pytest.approx(answer["log_probs"], abs=1e-4) == log_probs


def test_weights_that_were_changed_are_found(
    small_queue_endpoint: str,
    bundle: PromptBundle,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same prompt, tokenizer and shapes, other numbers: only the decisions tell."""
    changed = tmp_path / "changed"
    shutil.copytree(checkpoint, changed)
    weights = load_file(changed / "model.safetensors")
    torch.manual_seed(0)
    noisy = {name: weight + NOISE * torch.randn_like(weight) for name, weight in weights.items()}
    save_file(noisy, changed / "model.safetensors", metadata={"format": "pt"})
    write_records(golden_records(checkpoint), tmp_path / "golden")

    status = main([*command(small_queue_endpoint, bundle, changed), "--golden", str(tmp_path / "golden"), "--json"])

    assert 1 == status
    failed = {check["name"] for check in json.loads(capsys.readouterr().out)["checks"] if check["verdict"] == "fail"}
    assert {"route_agreement", "probability_difference"} == failed


def test_a_checkpoint_without_weights_could_not_be_run(
    bundle: PromptBundle, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Transformers' own words are in the message; no server is needed to find out."""
    shutil.copytree(checkpoint, tmp_path / "empty")
    (tmp_path / "empty" / "model.safetensors").unlink()

    assert 3 == main(command("127.0.0.1:1", bundle, tmp_path / "empty"))
    assert "model.safetensors" in capsys.readouterr().err
