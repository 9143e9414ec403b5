"""Golden examples, and a backend over the tiny checkpoint; puts the build programs on the path."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.golden import Golden, golden_of

from archrouter.bundles.builder import REFERENCE_MODEL
from archrouter.bundles.loader import PromptBundle
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.triton_client import TritonClient

BUILD = str(Path(__file__).parents[3] / "build")
if BUILD not in sys.path:
    sys.path.insert(0, BUILD)


@pytest.fixture(scope="session")
def golden(checkpoint: Path) -> tuple[Golden, ...]:
    """Read the golden examples."""
    return tuple(golden_of(json.loads(line)) for line in (checkpoint / "golden.jsonl").read_text().splitlines())


@pytest_asyncio.fixture
async def connection(engine_endpoint: str) -> AsyncIterator[TritonClient]:
    """Give a connection of the test's own loop."""
    opened = TritonClient(engine_endpoint, max_concurrent_requests=8)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def backend(connection: TritonClient, bundle: PromptBundle) -> LanguageModelBackend:
    """Give a warm backend."""
    made = LanguageModelBackend(connection, REFERENCE_MODEL, bundle)
    await made.warm_up(timeout_s=60)
    return made
