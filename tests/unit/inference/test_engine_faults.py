"""A wrong engine never serves: from the bundle on disk to Triton's first answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.support.engine_bundles import VOCAB_SIZE, change_engine, write_engine_bundle
from tests.support.engine_faults import FAULTS, TIMEOUT_S, Deployment
from tests.support.engine_triton import engine_triton

from archrouter.bundles.loader import load_bundle
from archrouter.bundles.manifest import BundleError, read_manifest
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.per_policy_set import WARM_UP
from archrouter.inference.triton_client import TritonClient


@pytest_asyncio.fixture
async def deployment(checkpoint: Path, tmp_path: Path) -> AsyncIterator[Deployment]:
    """Give an engine bundle and a Triton that fit together."""
    directory = write_engine_bundle(tmp_path / "bundle", checkpoint)
    async with engine_triton(read_manifest(directory)[1], vocab_size=VOCAB_SIZE) as triton:
        yield Deployment(directory, triton)


async def test_an_engine_that_fits_its_bundle_serves(deployment: Deployment) -> None:
    """Without a fault the first call is answered."""
    connection = TritonClient(deployment.triton.endpoint, max_concurrent_requests=1)
    bundle = load_bundle(deployment.directory)
    backend = LanguageModelBackend(connection, "tensorrt_llm", bundle)

    assert bundle.profile == await backend.warm_up(timeout_s=TIMEOUT_S)
    assert bundle.profile == (await backend.score(WARM_UP, timeout_s=TIMEOUT_S)).profile
    assert await backend.is_ready(timeout_s=TIMEOUT_S)
    await backend.close()


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_stops_the_engine_with_its_own_message(deployment: Deployment, fault: str) -> None:
    """The message names what differs, both values and the remedy."""
    apply, error, message = FAULTS[fault]
    apply(deployment)

    with pytest.raises(error, match=message):
        await deployment.start()


def test_no_two_faults_share_a_message() -> None:
    """Whoever reads the log knows which it was."""
    messages = [message for _, _, message in FAULTS.values()]

    assert sorted(set(messages)) == sorted(messages)


def test_every_fault_is_told_at_once(deployment: Deployment) -> None:
    """Two mismatches cost one start, not two."""
    change_engine(deployment.directory, "build_config", "gather_generation_logits", value=False)
    change_engine(deployment.directory, "pretrained_config", "logits_dtype", value="float16")

    with pytest.raises(BundleError, match=r"--gather_generation_logits.*--logits_dtype float32"):
        load_bundle(deployment.directory)


def test_switches_written_as_words_are_read_as_switches(tmp_path: Path, checkpoint: Path) -> None:
    """`trtllm-build` takes them as ``enable`` and ``disable`` on its command line."""
    bundle = write_engine_bundle(tmp_path / "bundle", checkpoint)
    change_engine(bundle, "build_config", "plugin_config", "use_paged_context_fmha", value="enable")

    assert load_bundle(bundle).manifest.engine is not None

    change_engine(bundle, "build_config", "plugin_config", "use_paged_context_fmha", value="disable")

    with pytest.raises(BundleError, match="cannot reuse KV blocks"):
        load_bundle(bundle)
