"""The whole build but the engine itself: verify and calibrate run for real on ``reference_lm``.

A stand-in takes the place of TensorRT-LLM's tools, and ``reference_lm`` with the same weights that of the engine.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.stand_in_toolkit import write_toolkit
from tests.support.toy_records import write_toy_records

from archrouter.bundles.builder import REFERENCE_MODEL
from archrouter.bundles.loader import load_bundle
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton

ROOT = Path(__file__).parents[3]
CHECKPOINT = Path("tests", "data", "tiny_checkpoint")
START_TIMEOUT_S = 120.0
RECORD_COUNT = 250


async def test_a_checkpoint_becomes_a_verified_and_calibrated_release(tmp_path: Path) -> None:
    """Every program of the build ends well, and the release carries its calibration."""
    toolkit = write_toolkit(tmp_path / "bin")
    records = write_toy_records(tmp_path / "records", RECORD_COUNT)
    workspace = tmp_path / "workspace"

    def build(*words: str) -> dict[str, object]:
        result = subprocess.run(
            [
                *(sys.executable, "-m", "engine", "build", "--checkpoint", str(CHECKPOINT), "--json"),
                *("--converted", str(CHECKPOINT / "onnx"), "--workspace", str(workspace)),
                *("--records", str(records), *words),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": "build", "PATH": f"{toolkit}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == result.returncode, result.stderr
        document: dict[str, object] = json.loads(result.stdout)
        return document

    version = build("--until", "assemble")["model_version"]
    parameters = {"model_directory": str(ROOT / CHECKPOINT / "onnx"), "model_version": str(version)}
    triton = EmbeddedTriton(ROOT / "model_repository", (EmbeddedModel(REFERENCE_MODEL, parameters),), START_TIMEOUT_S)
    await triton.start()
    try:
        ending = build("--endpoint", triton.endpoint, "--model", REFERENCE_MODEL)
    finally:
        await triton.stop()
        triton.close()

    bundle = load_bundle(workspace / "assemble" / "bundle")
    assert [] == ending["not_run"]
    assert version == bundle.profile.model_version
    assert RECORD_COUNT == bundle.profile.calibration.sample_count
    assert {"verify.json", "verify.md"} == {path.name for path in (workspace / "verify").iterdir()}
