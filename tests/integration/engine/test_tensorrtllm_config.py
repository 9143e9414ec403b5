"""The checked-in model config of the TensorRT engine in a real Triton, and the service's own requests to it.

The backend is a stand-in of the same name, so the config is loaded as it is deployed. What is real is Triton's core: it
parses the config, and checks each request's tensors against it before a backend sees them.
"""

import asyncio
import dataclasses
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.errors import ArchRouterError
from archrouter.inference import tensors
from archrouter.inference.installation import TritonInstallation, environment
from archrouter.inference.language_model import scoring_inputs
from archrouter.inference.per_policy_set import WARM_UP
from archrouter.inference.triton_client import NamedArray, TritonClient

MODEL = "tensorrt_llm"
START_TIMEOUT_S = 60.0
CALL_TIMEOUT_S = 20.0


def free_port() -> int:
    """Find a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def lay_out(root: Path, folder: Path, installation: TritonInstallation) -> None:
    """Put the checked-in config, Triton's Python backend and the stand-in where Triton looks for them."""
    model = folder / "models" / MODEL
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").symlink_to(root / "model_repository" / MODEL / "config.pbtxt")
    python, stand_in = folder / "backends" / "python", folder / "backends" / "tensorrtllm"
    python.mkdir(parents=True)
    stand_in.mkdir()
    for path in (*installation.python_backend.iterdir(), installation.stub):
        if path.is_file():
            # Copies, because Triton follows links and refuses a library outside the backend's own folder.
            shutil.copy(path, python)
            shutil.copy(path, stand_in)
    (stand_in / "model.py").symlink_to(root / "tests" / "support" / "tensorrtllm_backend" / "model.py")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def endpoint(root: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Serve the config and give HOST:PORT."""
    folder, installation = tmp_path_factory.mktemp("tensorrtllm"), TritonInstallation.find()
    lay_out(root, folder, installation)
    port = free_port()
    command = [
        *(str(installation.server), f"--model-repository={folder / 'models'}", "--model-control-mode=explicit"),
        *(f"--load-model={MODEL}", "--disable-auto-complete-config", f"--backend-directory={folder / 'backends'}"),
        *("--grpc-address=127.0.0.1", f"--grpc-port={port}", "--allow-http=false", "--allow-metrics=false"),
        f"--backend-config=python,shm-region-prefix-name=stub_{os.getpid()}_",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220  # it outlives this coroutine
            command, stdout=log, stderr=log, env=environment(installation, os.environ), start_new_session=True
        )
    connection = TritonClient(f"127.0.0.1:{port}", max_concurrent_requests=1)
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await connection.is_model_ready(MODEL, timeout_s=1.0):
                assert process.poll() is None, (folder / "log").read_text(errors="replace")[-4000:]
                await asyncio.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        await connection.close()
        process.terminate()
        process.wait(timeout=30)
        for region in Path("/dev/shm").glob(f"stub_{os.getpid()}_*"):
            region.unlink(missing_ok=True)


@pytest_asyncio.fixture
async def connection(endpoint: str) -> AsyncIterator[TritonClient]:
    """Give a connection that lets eight calls through at a time."""
    connection = TritonClient(endpoint, max_concurrent_requests=8)
    yield connection
    await connection.close()


async def test_the_config_has_every_tensor_of_the_service(connection: TritonClient) -> None:
    """The service's own check before it serves, against what Triton made of the file."""
    parameters = await connection.model_parameters(MODEL, tensors.LANGUAGE_MODEL, timeout_s=CALL_TIMEOUT_S)

    assert "/opt/archrouter/bundle/engine" == parameters["gpt_model_path"]


@pytest.mark.parametrize("count", [1, 8])
async def test_the_services_requests_pass_the_cores_validation(
    connection: TritonClient, bundle: PromptBundle, count: int
) -> None:
    """Prompts of different lengths at the same time: types, ranks, scalars of [1, 1] and raggedness are all right."""
    prompt = bundle.compiler.compile(WARM_UP.policy_set).assemble(WARM_UP.conversation)
    calls = [
        connection.infer(
            MODEL,
            scoring_inputs(bundle, prompt, prompt.ids[:number], pinned=True),
            tensors.LANGUAGE_MODEL.outputs,
            timeout_s=CALL_TIMEOUT_S,
        )
        for number in range(1, count + 1)
    ]

    results = await asyncio.gather(*calls)

    leading = [int(result["generation_logits"][0, 0, 0].argmax()) for result in results]
    assert list(prompt.ids[:count]) == leading


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("end_id", np.array([7], np.int32)),
        ("min_length", np.array([[1]], np.int32)),
        ("temperature", np.array([[1]], np.int32)),
    ],
    ids=["a scalar without its batch", "an old name", "another type"],
)
async def test_the_core_refuses_what_breaks_the_contract(
    connection: TritonClient, bundle: PromptBundle, name: str, value: NDArray[np.int32]
) -> None:
    """Before the backend sees it, naming the tensor: so the requests that pass prove something."""
    prompt = bundle.compiler.compile(WARM_UP.policy_set).assemble(WARM_UP.conversation)
    inputs = [one for one in scoring_inputs(bundle, prompt, (), pinned=True) if one.tensor.name != name]
    inputs.append(NamedArray(dataclasses.replace(tensors.END_ID, name=name, datatype="INT32"), value))

    with pytest.raises(ArchRouterError) as refused:
        await connection.infer(MODEL, inputs, tensors.LANGUAGE_MODEL.outputs, timeout_s=CALL_TIMEOUT_S)

    assert re.search(rf"INVALID_ARGUMENT.*{name}", str(refused.value.__cause__))
