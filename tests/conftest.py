"""Fixtures of every layer: a scrubbed environment, and one embedded Triton for all tests that need it."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from archrouter.bundles.builder import REFERENCE_MODEL, BundleRequest, build_bundle
from archrouter.bundles.loader import PromptBundle
from archrouter.config import ENV_PREFIX
from archrouter.domain.dialect import Dialect
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton

ROOT = Path(__file__).parents[1]
TRITON_START_TIMEOUT_S = 120.0

# How fast examples are made and tried says how busy the machine is, not whether the code is right.
settings.register_profile("archrouter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("archrouter")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository's root."""
    return ROOT


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def triton_endpoint() -> AsyncIterator[str]:
    """Serve the compact router from a real Triton and give its HOST:PORT."""
    triton = EmbeddedTriton(ROOT / "model_repository", (EmbeddedModel("compact_router"),), TRITON_START_TIMEOUT_S)
    await triton.start()
    yield triton.endpoint
    await triton.stop()
    triton.close()


@pytest.fixture(scope="session")
def checkpoint(root: Path) -> Path:
    """Return the committed tiny checkpoint."""
    return root / "tests" / "data" / "tiny_checkpoint"


def bundle_request(root: Path, checkpoint: Path, output: Path) -> BundleRequest:
    """Ask for a bundle of the tiny checkpoint, from the conversion that is committed with it."""
    return BundleRequest(
        checkpoint=checkpoint,
        output=output,
        precision="fp32",
        exported=checkpoint / "onnx",
        prompt_template=None,
        dialect=Dialect.CARD,
        max_prompt_token_count=4096,
        model_repository=root / "model_repository",
        force=False,
    )


@pytest.fixture(scope="session")
def bundle(root: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> PromptBundle:
    """Build a bundle as a user would, probe included."""
    output = tmp_path_factory.mktemp("bundles") / "tiny"
    return build_bundle(bundle_request(root, checkpoint, output), lambda _line: None)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine_endpoint(root: Path, bundle: PromptBundle) -> AsyncIterator[str]:
    """Serve the bundle's model from a real Triton and give its HOST:PORT."""
    parameters = {"model_directory": str(bundle.model_directory), "model_version": bundle.profile.model_version}
    triton = EmbeddedTriton(
        root / "model_repository", (EmbeddedModel(REFERENCE_MODEL, parameters),), TRITON_START_TIMEOUT_S
    )
    await triton.start()
    yield triton.endpoint
    await triton.stop()
    triton.close()
