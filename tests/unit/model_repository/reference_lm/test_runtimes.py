"""The runtimes of reference_lm answer alike, whatever library runs the model."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lm_backend.errors import CancelledCallError, ExecutorError, RequestError, SettingsError
from lm_backend.generation import Generation
from lm_backend.requests import GenerationRequest
from lm_backend.runtimes import load_runtime
from lm_backend.settings import RUNTIMES, Settings

ROOT = Path(__file__).parents[4]
CHECKPOINT = ROOT / "tests" / "data" / "tiny_checkpoint"
GPU_RUNTIMES = ("tensorrt_llm", "vllm")
PROMPT = np.arange(10, 110, dtype=np.int32)


def never() -> bool:
    """Say that the caller is still there."""
    return False


@pytest.fixture(autouse=True)
def gpu_libraries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the stand-ins for the libraries that need a GPU on the path."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "support" / "gpu_libraries"))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in GPU_RUNTIMES]:
        del sys.modules[name]
    for name in GPU_RUNTIMES:
        sys.modules.pop(f"lm_backend.runtimes.{name}", None)


@pytest.fixture
def make_settings() -> Callable[..., Settings]:
    """Give a function that makes the settings of a runtime over the tiny checkpoint."""

    def make(runtime: str, **changes: Any) -> Settings:  # noqa: ANN401  # any field
        settings = Settings(
            runtime=runtime,
            model_directory=CHECKPOINT / "onnx" if runtime == "onnxruntime-genai" else CHECKPOINT,
            model_version="",
            max_seq_len=512,
            gather_generation_logits=True,
            enable_kv_cache_reuse=True,
            prefix_cache_entries=2,
            prefill_chunk_tokens=128,
            normalize_log_probs=False,
            exclude_input_in_output=True,
            intra_op_threads=1,
        )
        return replace(settings, **changes)

    return make


@pytest.fixture
def ask(base_request: GenerationRequest, make_settings: Callable[..., Settings]) -> Callable[..., list[Generation]]:
    """Give a function that loads a runtime and puts calls to it, each a change of the base request."""

    def answer(runtime: str, *changes: dict[str, Any]) -> list[Generation]:
        loaded = load_runtime(make_settings(runtime))
        return [loaded.run(replace(base_request, input_ids=PROMPT, **change), never) for change in changes]

    return answer


@pytest.mark.parametrize("runtime", GPU_RUNTIMES)
def test_a_runtime_answers_as_the_one_on_the_cpu_when_the_weights_are_the_same(
    ask: Callable[..., list[Generation]], runtime: str
) -> None:
    """Tokens are equal, logits and log-probabilities within float32's rounding of another order of reading."""
    expected = ask("onnxruntime-genai", {})[0]

    found = ask(runtime, {})[0]

    assert expected.tokens.tolist() == found.tokens.tolist()
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    np.testing.assert_allclose(found.log_probs, expected.log_probs, atol=1e-4)
    assert expected.cum_log_prob == pytest.approx(found.cum_log_prob, abs=1e-4)
    assert found.logits.dtype == np.float32


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_answer_ends_before_the_end_token_when_the_model_chooses_it(
    ask: Callable[..., list[Generation]], runtime: str
) -> None:
    """The end token is no part of the answer; its log-probability counts."""
    first = ask(runtime, {})[0]
    end_id = int(first.tokens[0])

    ended = ask(runtime, {"end_id": end_id})[0]

    assert [] == ended.tokens.tolist()
    assert float(first.log_probs[0]) == pytest.approx(ended.cum_log_prob, abs=1e-5)
    np.testing.assert_allclose(ended.logits[0], first.logits[0], atol=1e-4)
    assert not ended.logits[1:].any()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_prompt_is_reused_when_it_comes_again(ask: Callable[..., list[Generation]], runtime: str) -> None:
    """The counter tells that the second call read less."""
    first, second = ask(runtime, {"max_new_tokens": 1}, {"max_new_tokens": 1})

    assert first.reused_tokens == 0
    assert 64 <= second.reused_tokens < len(PROMPT)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_prompt_is_refused_when_it_leaves_no_room_for_an_answer(
    base_request: GenerationRequest, make_settings: Callable[..., Settings], runtime: str
) -> None:
    """The text is the executor's."""
    loaded = load_runtime(make_settings(runtime, max_seq_len=len(PROMPT)))

    with pytest.raises(ExecutorError, match=r"Prompt length \(100\) exceeds maximum input length \(99\)"):
        loaded.run(replace(base_request, input_ids=PROMPT), never)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_logits_are_refused_when_the_runtime_does_not_gather_them(
    base_request: GenerationRequest, make_settings: Callable[..., Settings], runtime: str
) -> None:
    """The text is the executor's."""
    loaded = load_runtime(make_settings(runtime, gather_generation_logits=False))

    with pytest.raises(ExecutorError, match="gather_generation_logits must be enabled"):
        loaded.run(replace(base_request, input_ids=PROMPT), never)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nothing_is_run_when_the_caller_has_gone(
    base_request: GenerationRequest, make_settings: Callable[..., Settings], runtime: str
) -> None:
    """A cancelled call ends as cancelled."""
    loaded = load_runtime(make_settings(runtime))

    with pytest.raises(CancelledCallError):
        loaded.run(replace(base_request, input_ids=PROMPT), lambda: True)


@pytest.mark.parametrize("runtime", GPU_RUNTIMES)
def test_a_bias_is_refused_when_the_runtime_has_none(
    base_request: GenerationRequest, make_settings: Callable[..., Settings], runtime: str
) -> None:
    """The refusal names the runtime and the input."""
    loaded = load_runtime(make_settings(runtime))
    bias = np.zeros(loaded.vocabulary_size, np.float32)

    with pytest.raises(RequestError, match=f"{runtime} does not support embedding_bias"):
        loaded.run(replace(base_request, input_ids=PROMPT, embedding_bias=bias), never)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_loading_is_refused_when_the_folder_holds_no_model(
    make_settings: Callable[..., Settings], runtime: str, tmp_path: Path
) -> None:
    """The error names the parameter and the file."""
    with pytest.raises(SettingsError, match="model_directory"):
        load_runtime(make_settings(runtime, model_directory=tmp_path))


def test_a_pin_reaches_the_library_when_the_call_pins(
    base_request: GenerationRequest, make_settings: Callable[..., Settings]
) -> None:
    """TensorRT-LLM is told range, priority and duration, and nothing where nothing is pinned."""
    loaded: Any = load_runtime(make_settings("tensorrt_llm"))
    pinned = replace(base_request, input_ids=PROMPT, pinned_tokens=64, pin_duration_ms=600_000)

    loaded.run(pinned, never)
    loaded.run(replace(pinned, pinned_tokens=0, pin_duration_ms=None), never)

    first, second = loaded._llm.retention
    [token_range] = first.token_range_retention_configs
    assert (0, 64, 100) == (token_range.token_start, token_range.token_end, token_range.priority)
    assert timedelta(minutes=10) == token_range.duration_ms
    assert second is None
