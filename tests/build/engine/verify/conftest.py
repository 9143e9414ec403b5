"""One Triton with a healthy endpoint and its faulty variants, and an oracle that remembers what torch computed."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from engine.verify.endpoint import Endpoint
from engine.verify.questions import Question, questions_of
from tests.support.reference_lm_variants import write_variant
from tiny_checkpoint.corpus import Message, Route
from tiny_checkpoint.labelled import write_records
from tiny_checkpoint.prompt import user_prompt

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.tokens import TokenIds
from archrouter.evaluation.dataset import read_dataset
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.triton_client import TritonClient

START_TIMEOUT_S = 120.0
CALL_TIMEOUT_S = 60.0
SMALL_QUEUE = 4

# Name of the variant, its parameters beside the bundle's, and how many calls its queue takes.
VARIANTS: dict[str, tuple[dict[str, str], int]] = {
    "healthy": ({}, SMALL_QUEUE),
    "without_logits": ({"gather_generation_logits": "false"}, SMALL_QUEUE),
    "badly_configured": ({"enable_kv_cache_reuse": "false", "max_seq_len": "512"}, 0),
}
OTHER_VERSION = "sha256:" + "f" * 64


class RecordedOracle:
    """Repeats what torch computed for the golden examples of the tiny checkpoint."""

    def __init__(self, golden_file: Path) -> None:
        """Read the examples."""
        self._prompts: dict[str, TokenIds] = {}
        self._log_probs: dict[TokenIds, list[tuple[TokenIds, list[float]]]] = {}
        for line in golden_file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            prompt = tuple(record["prompt_token_ids"])
            routes = [Route(**route) for route in record["routes"]]
            message = user_prompt(routes, [Message(**message) for message in record["conversation"]])
            self._prompts[message] = prompt
            self._log_probs[prompt] = [
                (tuple(answer["token_ids"]), answer["log_probs"]) for answer in record["candidates"].values()
            ]

    def prompt_tokens(self, message: str) -> TokenIds:
        """Look up the training's own tokens."""
        return self._prompts[message]

    def answer_log_probabilities(self, prompt: TokenIds, answers: Sequence[TokenIds]) -> list[list[float]]:
        """Look up each answer; its end token, which no other answer has there, is taken as certain."""
        known = dict(self._log_probs[prompt])
        return [[*known[answer[:-1]], 0.0] for answer in answers]


@pytest.fixture(scope="session")
def oracle(checkpoint: Path) -> RecordedOracle:
    """Give the oracle."""
    return RecordedOracle(checkpoint / "golden.jsonl")


@pytest.fixture(scope="session")
def questions(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Question, ...]:
    """Give the golden examples as questions."""
    folder = tmp_path_factory.mktemp("golden")
    lines = (checkpoint / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    write_records([json.loads(line) for line in lines], folder)
    return questions_of(read_dataset(folder))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def variants_endpoint(
    bundle: PromptBundle, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """Give HOST:PORT of a Triton that serves every variant, and one with another version."""
    repository = tmp_path_factory.mktemp("variants")
    own = {"model_directory": str(bundle.model_directory), "model_version": bundle.profile.model_version}
    models = []
    for name, (parameters, max_queue_size) in VARIANTS.items():
        write_variant(repository, name, max_queue_size)
        models.append(EmbeddedModel(name, {**own, **parameters}))
    write_variant(repository, "other_version", SMALL_QUEUE)
    models.append(
        EmbeddedModel("other_version", {"model_directory": str(checkpoint / "onnx"), "model_version": OTHER_VERSION})
    )
    triton = EmbeddedTriton(repository, tuple(models), START_TIMEOUT_S)
    await triton.start()
    yield triton.endpoint
    await triton.stop()
    triton.close()


@pytest_asyncio.fixture
async def make_endpoint(bundle: PromptBundle) -> AsyncIterator[Callable[..., Endpoint]]:
    """Give a function that names an endpoint under test: its address and its model."""
    connections = []

    def make(address: str, model: str, *, call_timeout_s: float = CALL_TIMEOUT_S) -> Endpoint:
        connections.append(TritonClient(address, max_concurrent_requests=8))
        return Endpoint(connections[-1], model, bundle, 1024, 1024, call_timeout_s)

    yield make
    for connection in connections:
        await connection.close()
