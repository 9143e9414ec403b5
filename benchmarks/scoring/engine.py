"""The engine both ways run on: `reference_lm` in a Triton for each KV cache, and direct calls to it."""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from numpy.typing import NDArray
from tritonclient.grpc.model_config_pb2 import ModelConfig

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.prompt import Prompt
from archrouter.domain.tokens import TokenIds
from archrouter.inference import tensors
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.triton_client import NamedArray, Outputs, TritonClient

CALL_TIMEOUT_S = 3600.0
START_TIMEOUT_S = 300.0
MAX_SEQ_LEN = 9_216
"""Prompt and answer; memory for this many tokens is reserved for each kept KV state."""

_MODEL = "reference_lm"
_REPOSITORY = Path(__file__).parents[2] / "model_repository"
_PINNED_PRIORITY = 100
_MAX_CONCURRENT_REQUESTS = 64

SCORING_CACHE, GENERATION_CACHE, NO_CACHE = "scoring_cache", "generation_cache", "no_cache"
"""Models by the KV cache they keep. Each way of deciding that reuses prefixes has a cache of its own: with a shared one
the second would find the whole prompt that the first has just read. Each has a Triton of its own as well: of several
Python models in one server, a waiting one is now and then taken for dead while another computes."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one call brought back.

    Attributes:
        tokens: Generated tokens without the end token.
        cached_token_count: Prompt tokens whose computation was reused.
        row: Raw next-token logits, float32 [V]; empty unless asked for.
    """

    tokens: TokenIds
    cached_token_count: int
    row: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Engine:
    """A bundle's weights, served once for each KV cache.

    Attributes:
        bundle: Tokenizer and prompt of the weights.
        connections: To the servers, by model.
        backends: The service's own scoring, warm, by model.
    """

    bundle: PromptBundle
    connections: Mapping[str, TritonClient]
    backends: Mapping[str, LanguageModelBackend]

    async def generate(self, model: str, prompt: Prompt, token_count: int) -> Answer:
        """Generate greedily, end token included in the count.

        Args:
            model: One of the three.
            prompt: What to continue.
            token_count: Most tokens to generate, >= 1.

        Returns:
            The answer; fewer tokens where the end token came first.
        """
        inputs = self._inputs(prompt, (), token_count)
        outputs = (tensors.OUTPUT_IDS, tensors.SEQUENCE_LENGTH, tensors.KV_REUSED_BLOCKS)
        return _answer(await self.connections[model].infer(model, inputs, outputs, timeout_s=CALL_TIMEOUT_S))

    async def next_token_logits(self, model: str, prompt: Prompt, path: TokenIds) -> NDArray[np.float32]:
        """Ask for the raw logits after a prompt and a beginning of the answer.

        Args:
            model: One of the three.
            prompt: What to continue.
            path: Tokens of the answer so far.

        Returns:
            float32 [V].
        """
        inputs = [
            *self._inputs(prompt, path, 1),
            NamedArray(tensors.RETURN_GENERATION_LOGITS, np.array([[True]])),
        ]
        outputs = (tensors.OUTPUT_IDS, tensors.SEQUENCE_LENGTH, tensors.KV_REUSED_BLOCKS, tensors.GENERATION_LOGITS)
        return _answer(await self.connections[model].infer(model, inputs, outputs, timeout_s=CALL_TIMEOUT_S)).row

    def _inputs(self, prompt: Prompt, path: TokenIds, token_count: int) -> list[NamedArray]:
        """Write a request. The policies are pinned as scoring pins them, so that both keep the same prefix."""
        ids = np.array([prompt.ids + path], np.int32)
        integers = {
            tensors.INPUT_LENGTHS: ids.shape[1],
            tensors.REQUEST_OUTPUT_LEN: token_count,
            tensors.END_ID: self.bundle.end_id,
            tensors.PAD_ID: self.bundle.pad_id,
            tensors.RUNTIME_TOP_K: 1,
            tensors.RETENTION_STARTS: 0,
            tensors.RETENTION_ENDS: prompt.prefix_token_count,
            tensors.RETENTION_PRIORITIES: _PINNED_PRIORITY,
        }
        return [
            NamedArray(tensors.INPUT_IDS, ids),
            *(NamedArray(tensor, np.array([[value]], np.int32)) for tensor, value in integers.items()),
            NamedArray(tensors.RETURN_PERF_METRICS, np.array([[True]])),
            NamedArray(tensors.EXCLUDE_INPUT_IN_OUTPUT, np.array([[True]])),
        ]


@asynccontextmanager
async def running_engine(bundle: PromptBundle, *, policy_set_count: int) -> AsyncIterator[Engine]:
    """Start the three models, and stop them afterwards.

    Args:
        bundle: A bundle of the runtime ``cpu``.
        policy_set_count: Policy sets in use at a time: as many KV states are kept, and one for the warm-up.

    Yields:
        The engine, every model warm.

    Raises:
        EmbeddedTritonError: When Triton does not start, with the tail of its log.
    """
    common = {
        tensors.PARAMETER_MODEL_DIRECTORY: str(bundle.model_directory.resolve()),
        tensors.PARAMETER_MODEL_VERSION: bundle.profile.model_version,
        "max_seq_len": str(MAX_SEQ_LEN),
        "prefix_cache_entries": str(policy_set_count + 1),
    }
    reuse = {SCORING_CACHE: "true", GENERATION_CACHE: "true", NO_CACHE: "false"}
    async with AsyncExitStack() as stack:
        connections = {
            name: await stack.enter_async_context(
                _served(EmbeddedModel(name, {**common, "enable_kv_cache_reuse": enabled}))
            )
            for name, enabled in reuse.items()
        }
        backends = {name: LanguageModelBackend(connections[name], name, bundle) for name in reuse}
        for backend in backends.values():
            await backend.warm_up(timeout_s=CALL_TIMEOUT_S)
        yield Engine(bundle, connections, backends)


@asynccontextmanager
async def _served(model: EmbeddedModel) -> AsyncIterator[TritonClient]:
    """Serve one model in a Triton of its own."""
    with tempfile.TemporaryDirectory() as repository:
        _copy_model(model.name, Path(repository))
        triton = EmbeddedTriton(Path(repository), (model,), START_TIMEOUT_S)
        try:
            await triton.start()
            connection = TritonClient(triton.endpoint, max_concurrent_requests=_MAX_CONCURRENT_REQUESTS)
            try:
                yield connection
            finally:
                await connection.close()
        finally:
            await triton.stop()
            triton.close()


def _copy_model(name: str, repository: Path) -> None:
    """Put `reference_lm` into a repository under another name; the code itself is linked.

    Without its bound on the queue: Triton hands the calls of a bounded queue over one by one and looks only every 0.5 s
    whether the model is free (triton-inference-server/core, ``dynamic_batch_scheduler.cc``), which is not what is
    measured here.
    """
    target = repository / name
    target.mkdir()
    config = text_format.Parse((_REPOSITORY / _MODEL / "config.pbtxt").read_text("utf-8"), ModelConfig())
    config.name = name
    config.ClearField("dynamic_batching")
    (target / "config.pbtxt").write_text(text_format.MessageToString(config), "utf-8")
    (target / "1").symlink_to(_REPOSITORY / _MODEL / "1")


def _answer(outputs: Outputs) -> Answer:
    length = int(outputs[tensors.SEQUENCE_LENGTH.name][0, 0])
    logits = outputs.get(tensors.GENERATION_LOGITS.name)
    return Answer(
        tokens=tuple(outputs[tensors.OUTPUT_IDS.name][0, 0, :length].tolist()),
        cached_token_count=int(outputs[tensors.KV_REUSED_BLOCKS.name][0, 0]) * tensors.TOKENS_PER_BLOCK,
        row=np.zeros(0, np.float32) if logits is None else logits[0, 0, 0],
    )
