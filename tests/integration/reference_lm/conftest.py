"""One real Triton with reference_lm and two variants of its parameters, over the tiny checkpoint."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
from tests.support.reference_lm_variants import write_variant
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import np_to_triton_dtype

from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton

ROOT = Path(__file__).parents[3]
EXPORT = ROOT / "tests" / "data" / "tiny_checkpoint" / "onnx"
START_TIMEOUT_S = 120.0

# Name of the variant, its parameters, and how many calls its queue takes.
VARIANTS: dict[str, tuple[dict[str, str], int]] = {
    "reference_lm": ({}, 64),
    "reference_lm_without_reuse": ({"enable_kv_cache_reuse": "false"}, 1),
    "reference_lm_with_defaults_of_the_engine": (
        {
            "gather_generation_logits": "false",
            "normalize_log_probs": "true",
            "exclude_input_in_output": "false",
            "max_seq_len": "512",
        },
        64,
    ),
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def reference_triton(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Give HOST:PORT of a Triton that serves every variant."""
    repository = tmp_path_factory.mktemp("reference_lm")
    models = []
    for name, (parameters, max_queue_size) in VARIANTS.items():
        write_variant(repository, name, max_queue_size)
        models.append(EmbeddedModel(name, {"model_directory": str(EXPORT), **parameters}))
    triton = EmbeddedTriton(repository, tuple(models), START_TIMEOUT_S)
    await triton.start()
    yield triton.endpoint
    await triton.stop()
    triton.close()


@pytest.fixture
def client(reference_triton: str) -> Iterator[InferenceServerClient]:
    """Give a client of that Triton."""
    connection = InferenceServerClient(reference_triton)
    yield connection
    connection.close()


def make_input(name: str, value: npt.NDArray[np.generic]) -> InferInput:
    """Put an array on the wire."""
    tensor = InferInput(name, value.shape, np_to_triton_dtype(value.dtype))
    tensor.set_data_from_numpy(value)
    return tensor


@pytest.fixture
def make_inputs() -> Callable[..., list[InferInput]]:
    """Give a function that shapes a call: the prompt's tokens, then scalars and arrays by the names of their inputs."""

    def make(tokens: list[int], **inputs: float | npt.NDArray[np.generic]) -> list[InferInput]:
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "input_ids": np.array([tokens], np.int32),
            "input_lengths": np.array([[len(tokens)]], np.int32),
        }
        for name, value in inputs.items():
            if isinstance(value, np.ndarray):
                arrays[name] = value
            else:
                dtype = {bool: np.bool_, int: np.int32, float: np.float32}[type(value)]
                arrays[name] = np.array([[value]], dtype)
        return [make_input(name, value) for name, value in arrays.items()]

    return make


@pytest.fixture
def infer(
    client: InferenceServerClient, make_inputs: Callable[..., list[InferInput]]
) -> Callable[..., dict[str, npt.NDArray[np.generic]]]:
    """Give a function that calls a model and returns every output of its answer."""

    def call(
        model: str, tokens: list[int], *, outputs: tuple[str, ...] = (), **inputs: float | npt.NDArray[np.generic]
    ) -> dict[str, npt.NDArray[np.generic]]:
        requested = [InferRequestedOutput(name) for name in outputs] or None
        result = client.infer(model, make_inputs(tokens, **inputs), outputs=requested)
        return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}

    return call
