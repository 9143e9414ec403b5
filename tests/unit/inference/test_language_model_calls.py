"""The language model's calls: what it says of a failure, and what it keeps of a policy set."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from grpc import aio
from tests.support.engine_bundles import VOCAB_SIZE, write_engine_bundle
from tests.support.engine_triton import EngineTriton, engine_triton
from tests.support.fakes import make_set

from archrouter.bundles.loader import load_bundle
from archrouter.domain.errors import BackendUnavailableError
from archrouter.domain.policy import PolicySet
from archrouter.domain.prompt import CompiledPrompt, PromptCompiler
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.per_policy_set import INLINE_CAPACITY, WARM_UP
from archrouter.inference.triton_client import TritonClient

TIMEOUT_S = 10.0
SERVED = make_set("served")


class CountingCompiler(PromptCompiler):
    """Counts how often each set is compiled."""

    def __init__(self, compiler: PromptCompiler) -> None:
        """Compile by another."""
        self._compiler = compiler
        self.counts: Counter[str] = Counter()

    def compile(self, policy_set: PolicySet) -> CompiledPrompt:
        """Count and compile."""
        self.counts[policy_set.id] += 1
        return self._compiler.compile(policy_set)


@pytest.fixture
def compiler(checkpoint: Path, tmp_path: Path) -> CountingCompiler:
    """Compile for the tiny checkpoint."""
    return CountingCompiler(load_bundle(write_engine_bundle(tmp_path / "bundle", checkpoint)).compiler)


@pytest_asyncio.fixture
async def triton(tmp_path: Path, compiler: CountingCompiler) -> AsyncIterator[EngineTriton]:
    """Serve the bundle."""
    del compiler
    version = load_bundle(tmp_path / "bundle").profile.model_version
    async with engine_triton(version, vocab_size=VOCAB_SIZE) as served:
        yield served


@pytest_asyncio.fixture
async def model(
    triton: EngineTriton, tmp_path: Path, compiler: CountingCompiler
) -> AsyncIterator[LanguageModelBackend]:
    """Give a warm model."""
    bundle = replace(load_bundle(tmp_path / "bundle"), compiler=compiler)
    made = LanguageModelBackend(TritonClient(triton.endpoint, max_concurrent_requests=4), "tensorrt_llm", bundle)
    await made.warm_up(timeout_s=TIMEOUT_S)
    yield made
    await made.close()


async def score(model: LanguageModelBackend, policy_set: PolicySet) -> None:
    """Ask one question."""
    await model.score(replace(WARM_UP, policy_set=policy_set), timeout_s=TIMEOUT_S)


async def test_a_failure_keeps_what_triton_said(model: LanguageModelBackend, triton: EngineTriton) -> None:
    """The caller gets a fixed text; the log can tell the cause."""
    triton.refusal = (grpc.StatusCode.INTERNAL, "CUDA out of memory")

    with pytest.raises(BackendUnavailableError) as caught:
        await score(model, SERVED)

    assert isinstance(caught.value.__cause__, aio.AioRpcError)
    assert "CUDA out of memory" in str(caught.value.__cause__)


async def test_inline_sets_do_not_push_out_a_served_one(
    model: LanguageModelBackend, compiler: CountingCompiler
) -> None:
    """However many come, the served set is compiled once; the bound holds for inline sets."""
    await model.prepare(SERVED)
    for number in range(INLINE_CAPACITY + 1):
        await score(model, make_set(f"inline-{number}"))
    await score(model, SERVED)
    await score(model, make_set("inline-0"))

    assert (1, 2, 1) == tuple(compiler.counts[name] for name in ("served", "inline-0", "inline-9"))


async def test_equal_sets_that_arrive_together_are_compiled_once(
    model: LanguageModelBackend, compiler: CountingCompiler
) -> None:
    """A batch of one inline set costs what a single call does."""
    await asyncio.gather(*(score(model, make_set("inline")) for _ in range(8)))

    assert 1 == compiler.counts["inline"]


async def test_a_set_that_was_released_is_compiled_anew(
    model: LanguageModelBackend, compiler: CountingCompiler
) -> None:
    """Nothing is kept for a set that is no longer served."""
    await model.prepare(SERVED)
    model.release(SERVED)
    await model.prepare(SERVED)

    assert 2 == compiler.counts["served"]


async def test_the_step_tokenize_ends_before_the_model_is_asked(triton: EngineTriton, tmp_path: Path) -> None:
    """A trace shows how long the prompt took, apart from the calls to Triton."""
    marks: list[str] = []

    @contextmanager
    def mark(name: str) -> Iterator[None]:
        """Note beginning and end."""
        marks.append(f"{name} begins")
        yield
        marks.append(f"{name} ends")

    @contextmanager
    def span(_endpoint: str, _model: str) -> Iterator[FakeSpan]:
        """Note a call."""
        marks.append("call")
        yield FakeSpan()

    client = TritonClient(triton.endpoint, max_concurrent_requests=4, start_span=span)
    model = LanguageModelBackend(client, "tensorrt_llm", load_bundle(tmp_path / "bundle"), start_step=mark)
    await model.warm_up(timeout_s=TIMEOUT_S)
    await model.close()

    assert ["tokenize begins", "tokenize ends", "call"] == marks[:3]
    assert 1 == marks.count("tokenize begins")


class FakeSpan:
    """A span that is nobody's."""

    headers: dict[str, str] = {}  # noqa: RUF012  # only read

    def end(self, code: int, *, is_error: bool) -> None:
        """Do nothing."""
