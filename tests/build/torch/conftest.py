"""Running the build programs, and an engine for those that talk to one."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.reference_lm_variants import write_variant

from archrouter.bundles.loader import PromptBundle
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton

START_TIMEOUT_S = 120.0
SMALL_QUEUE = 4

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run(root: Path) -> Run:
    """Give a function that runs a module with its arguments."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root / "build"), str(root / "model_repository" / "compact_router" / "1")]),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",  # the models are small: threads would wait for each other
    }

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False
        )

    return call


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def small_queue_endpoint(bundle: PromptBundle, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Give HOST:PORT of a Triton that serves the tiny checkpoint with a short queue, which is soon full."""
    repository = tmp_path_factory.mktemp("small_queue")
    write_variant(repository, "reference_lm", SMALL_QUEUE)
    parameters = {"model_directory": str(bundle.model_directory), "model_version": bundle.profile.model_version}
    triton = EmbeddedTriton(repository, (EmbeddedModel("reference_lm", parameters),), START_TIMEOUT_S)
    await triton.start()
    yield triton.endpoint
    await triton.stop()
    triton.close()
