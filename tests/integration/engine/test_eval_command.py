"""``archrouter eval`` on the engine tier: the same command, another model."""

import json
import os
import subprocess
import sys
from pathlib import Path

from archrouter.adapters.bundle.loader import PromptBundle

MIN_ACCURACY = 0.5
"""Chance is about a quarter on these examples; the toy model is right in three quarters of many more of them."""


def write_benchmark(golden_file: Path, folder: Path) -> int:
    """Write the golden examples as a benchmark folder, and return their number."""
    (folder / "policies").mkdir(parents=True)
    lines = []
    for index, text in enumerate(golden_file.read_text().splitlines()):
        record = json.loads(text)
        name = f"golden_{index}"
        routes = [{**route, "domain": "toy", "action": route["name"]} for route in record["routes"]]
        (folder / "policies" / f"{name}.json").write_text(json.dumps({"policy_set": name, "routes": routes}))
        conversation = {
            "id": f"toy-{index}",
            "setting": "toy",
            "source": "toy",
            "license": "Apache-2.0",
            "origin": f"golden:{index}",
            "granularity": "fine",
            "policy_set": name,
            "messages": record["conversation"],
            "labels": [{"turn": len(record["conversation"]) - 1, "route": record["route"]}],
        }
        lines.append(json.dumps(conversation))
    (folder / "toy.jsonl").write_text("\n".join(lines) + "\n")
    return len(lines)


def test_eval_runs_unchanged_on_the_engine_tier(
    root: Path, checkpoint: Path, bundle: PromptBundle, tmp_path: Path
) -> None:
    """Every labelled turn gets a decision of the language model, and the summary names its version."""
    count = write_benchmark(checkpoint / "golden.jsonl", tmp_path / "toy")

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
    assert count == summary["settings"]["toy"]["turn"]["total"]
    assert summary["settings"]["toy"]["turn"]["share"] >= MIN_ACCURACY
