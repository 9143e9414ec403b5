"""``archrouter eval`` on the engine tier: the same command, another model."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tiny_checkpoint.labelled import write_records

from archrouter.bundles.loader import PromptBundle

MIN_ACCURACY = 0.5
"""Chance is about a quarter on these examples; the toy model is right in three quarters of many more of them."""


def test_eval_runs_unchanged_on_the_engine_tier(
    root: Path, checkpoint: Path, bundle: PromptBundle, tmp_path: Path
) -> None:
    """Every labelled turn gets a decision of the language model, and the summary names its version."""
    records = [json.loads(line) for line in (checkpoint / "golden.jsonl").read_text().splitlines()]
    write_records(records, tmp_path / "toy")

    result = subprocess.run(
        [sys.executable, "-m", "archrouter", "eval", str(tmp_path / "toy"), "--embedded", "--json"],
        cwd=root,
        env={
            **os.environ,
            "ARCHROUTER_ROUTING_MODE": "engine",
            "ARCHROUTER_TRITON_BUNDLE_DIRECTORY": str(bundle.directory),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == result.returncode, result.stderr
    summary = json.loads(result.stdout)
    assert [] == summary["failures"]
    assert bundle.profile.model_version in result.stdout
    assert len(records) == summary["settings"]["toy"]["turn"]["total"]
    assert summary["settings"]["toy"]["turn"]["share"] >= MIN_ACCURACY
