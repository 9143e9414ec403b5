"""The program on a real Triton whose model keeps the same contract on the CPU: ``reference_lm``."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from first_gpu_run.__main__ import CHECKS, main

from archrouter.bundles.builder import REFERENCE_MODEL
from archrouter.bundles.loader import PromptBundle
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton

START_TIMEOUT_S = 120.0

EXPECTED = {
    "template": "not checked",
    "legacy-warning": "not checked",
    "xgrammar": "not checked",
    "geometry": "different",  # a toy, and the program says so
    "engine-config": "not checked",
    "load": "confirmed",
    "model-config": "confirmed",
    "answer-form": "confirmed",
    "logits": "confirmed",
    "logits-flag": "confirmed",
    "input-length": "confirmed",
    "reuse": "confirmed",
    "guided-call": "not checked",
    "guided-rows": "not checked",
    "one-row-parallel": "confirmed",
    "many-rows-parallel": "different",  # one call at a time: no rows to mix up
    "cancel": "not checked",
    "overload": "different",  # Triton's own queue refuses, with UNAVAILABLE
    "profiles": "not checked",
}
NOT_RUN = {"driver", "golden", "speed"}  # of a GPU, of another program, of how busy this machine is


@pytest_asyncio.fixture
async def endpoint_without_logits(root: Path, checkpoint: Path) -> AsyncIterator[str]:
    """Serve the toy as an engine that was built without the flag."""
    parameters = {"model_directory": str(checkpoint / "onnx"), "gather_generation_logits": "false"}
    model = EmbeddedModel(REFERENCE_MODEL, parameters)
    triton = EmbeddedTriton(root / "model_repository", (model,), START_TIMEOUT_S)
    await triton.start()
    yield triton.endpoint
    await triton.stop()
    triton.close()


def test_what_the_contract_allows_is_checked_here_and_the_rest_says_what_it_needs(
    engine_endpoint: str,
    endpoint_without_logits: str,
    bundle: PromptBundle,
    checkpoint: Path,
    root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every row has its outcome, and nothing is confirmed that was not looked at."""
    code = main(
        [
            *("--endpoint", engine_endpoint, "--model", REFERENCE_MODEL, "--bundle", str(bundle.directory)),
            *("--checkpoint", str(checkpoint), "--model-repository", str(root / "model_repository")),
            *("--endpoint-without-logits", endpoint_without_logits, "--overload-calls", "100", "--json"),
            *(word for name in EXPECTED for word in ("--only", name)),
        ]
    )

    rows = json.loads(capsys.readouterr().out)
    assert {check.name for check in CHECKS} == EXPECTED.keys() | NOT_RUN
    assert EXPECTED == {row["check"]: row["status"] for row in rows}, json.dumps(rows, indent=1)
    assert 1 == code
