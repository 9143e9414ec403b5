"""reference_lm in a real Triton: the tensors, errors and cache of the engine, on the CPU."""

import json
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, InferResult
from tritonclient.utils import InferenceServerException

from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.installation import EmbeddedTritonError

Infer = Callable[..., dict[str, npt.NDArray[Any]]]  # Any: tensors of several types
MakeInputs = Callable[..., list[InferInput]]

MODEL = "reference_lm"
WITHOUT_REUSE = "reference_lm_without_reuse"
ENGINE_DEFAULTS = "reference_lm_with_defaults_of_the_engine"

CHECKPOINT = Path(__file__).parents[3] / "tests" / "data" / "tiny_checkpoint"
GOLDEN = [json.loads(line) for line in (CHECKPOINT / "golden.jsonl").read_text(encoding="utf-8").splitlines()]
GENERATION_CONFIG = json.loads((CHECKPOINT / "generation_config.json").read_text(encoding="utf-8"))
END_ID, PAD_ID = GENERATION_CONFIG["eos_token_id"]
VOCABULARY_SIZE = json.loads((CHECKPOINT / "config.json").read_text(encoding="utf-8"))["vocab_size"]
MAX_SEQ_LEN = 1024
TOKENS_PER_BLOCK = 32

# Two float32 implementations of the same sums; golden values carry six decimals.
LOG_PROB_TOLERANCE = 1e-4


def random_tokens(count: int, seed: int) -> list[int]:
    """Draw tokens that no other test's prompt begins with."""
    return np.random.default_rng(seed).integers(0, 900, count).tolist()  # type: ignore[no-any-return]


def log_softmax(row: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Return natural-log probabilities."""
    shifted = row.astype(np.float64) - row.max()
    log_probs: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return log_probs


def test_one_step_returns_the_row_of_logits_and_the_most_likely_token(infer: Infer) -> None:
    """The wire recipe of one scoring call gives [1, 1, 1, vocabulary] and one token."""
    answer = infer(
        MODEL,
        random_tokens(50, seed=1),
        request_output_len=1,
        end_id=END_ID,
        pad_id=PAD_ID,
        runtime_top_k=1,
        temperature=1.0,
        return_generation_logits=True,
        return_log_probs=True,
        exclude_input_in_output=True,
    )

    logits = answer["generation_logits"]
    assert (1, 1, 1, VOCABULARY_SIZE) == logits.shape
    assert np.float32 == logits.dtype
    assert [[[logits.argmax()]]] == answer["output_ids"].tolist()
    assert [[1]] == answer["sequence_length"].tolist()
    assert pytest.approx(log_softmax(logits.ravel()).max(), abs=1e-5) == answer["cum_log_probs"].item()
    assert answer["cum_log_probs"].item() == answer["output_log_probs"].item()


@pytest.mark.parametrize("example", GOLDEN, ids=range(len(GOLDEN)))
def test_log_probabilities_equal_those_of_torch_in_float32(
    infer: Infer, example: dict[str, dict[str, dict[str, list[float]]]]
) -> None:
    """Every token of every candidate's answer has the probability that the checkpoint gives it in transformers."""
    prompt: list[int] = list(map(int, example["prompt_token_ids"]))
    for candidate in example["candidates"].values():
        tokens, expected = list(map(int, candidate["token_ids"])), candidate["log_probs"]
        found = []
        for position, token in enumerate(tokens):
            answer = infer(MODEL, prompt + tokens[:position], request_output_len=1, return_generation_logits=True)
            found.append(log_softmax(answer["generation_logits"].ravel())[token])

        assert pytest.approx(expected, abs=LOG_PROB_TOLERANCE) == found


def test_a_continued_prompt_has_the_logits_of_a_fresh_one_bit_by_bit(infer: Infer) -> None:
    """Whatever was rewound before, the row equals that of a model that reads every prompt whole."""
    prefix = random_tokens(300, seed=2)
    call = {"request_output_len": 1, "return_generation_logits": True, "return_perf_metrics": True}
    infer(MODEL, prefix + random_tokens(10, seed=10), **call)
    for token_count in (40, 3, 130, 1, 64, 40):
        prompt = prefix + random_tokens(token_count, seed=token_count)
        continued, fresh = infer(MODEL, prompt, **call), infer(WITHOUT_REUSE, prompt, **call)

        assert 0 == fresh["kv_cache_reused_blocks"].item()
        assert 299 // TOKENS_PER_BLOCK == continued["kv_cache_reused_blocks"].item()
        np.testing.assert_array_equal(fresh["generation_logits"], continued["generation_logits"])


def test_several_steps_have_the_logits_of_single_ones(infer: Infer) -> None:
    """A generation of four tokens equals four calls of one, within what a one-row matrix product rounds differently."""
    prompt = random_tokens(60, seed=3)

    whole = infer(MODEL, prompt, request_output_len=4, return_generation_logits=True)
    rows = []
    for step in range(4):
        tokens = prompt + whole["output_ids"].ravel()[:step].tolist()
        rows.append(infer(MODEL, tokens, request_output_len=1, return_generation_logits=True)["generation_logits"])

    assert (1, 1, 4, VOCABULARY_SIZE) == whole["generation_logits"].shape
    np.testing.assert_allclose(whole["generation_logits"][0, 0], np.concatenate(rows)[:, 0, 0], atol=1e-4)


def test_block_counters_follow_the_shared_prefix(infer: Infer) -> None:
    """The first prompt of a policy set is new; the next one takes over the blocks that both share, and no more."""
    prefix = random_tokens(200, seed=4)
    call = {"request_output_len": 1, "return_perf_metrics": True}

    first = infer(MODEL, prefix + random_tokens(50, seed=5), **call)
    second = infer(MODEL, prefix + random_tokens(70, seed=6), **call)

    assert 0 == first["kv_cache_reused_blocks"].item()
    assert 8 == first["kv_cache_alloc_new_blocks"].item()
    assert 6 == second["kv_cache_reused_blocks"].item()
    assert 3 == second["kv_cache_alloc_new_blocks"].item() == second["kv_cache_alloc_total_blocks"].item()
    times = [second[f"{name}_time_ns"].item() for name in ("arrival", "first_scheduled", "first_token", "last_token")]
    assert sorted(times) == times


def test_a_pinned_prefix_is_still_there_after_more_policy_sets_than_the_cache_holds(infer: Infer) -> None:
    """Retention priority 100 keeps a policy set's tokens while six others pass through."""
    prefix = random_tokens(96, seed=7)
    pin: dict[str, npt.NDArray[np.generic]] = {
        "retention_token_range_starts": np.array([[0]], np.int32),
        "retention_token_range_ends": np.array([[96]], np.int32),
        "retention_token_range_priorities": np.array([[100]], np.int32),
    }
    infer(MODEL, prefix + random_tokens(20, seed=8), request_output_len=1, **pin)
    for seed in range(100, 106):
        infer(MODEL, random_tokens(120, seed=seed), request_output_len=1)

    answer = infer(MODEL, prefix + random_tokens(20, seed=9), request_output_len=1, return_perf_metrics=True)

    assert 3 == answer["kv_cache_reused_blocks"].item()


def test_generation_ends_at_the_end_id_and_runs_on_without_it(infer: Infer) -> None:
    """The checkpoint's own answer is complete JSON where end_id is sent, and is followed by more where it is not."""
    prompt = GOLDEN[0]["prompt_token_ids"]

    ended = infer(MODEL, prompt, request_output_len=40, end_id=END_ID)
    endless = infer(MODEL, prompt, request_output_len=40)

    length = ended["sequence_length"].item()
    assert length < 40
    assert END_ID not in ended["output_ids"]
    assert ended["output_ids"].ravel()[:length].tolist() == endless["output_ids"].ravel()[:length].tolist()
    assert END_ID == endless["output_ids"].ravel()[length]
    assert 40 == endless["sequence_length"].item()


def test_the_engines_own_defaults_hold_where_the_parameters_say_so(infer: Infer) -> None:
    """Prompt echoed, log-probabilities normalised to zero: what an unconfigured engine would do to a client."""
    prompt = random_tokens(40, seed=10)

    answer = infer(ENGINE_DEFAULTS, prompt, request_output_len=3, return_log_probs=True, return_num_output_tokens=True)

    assert prompt == answer["output_ids"].ravel()[:40].tolist()
    assert [[43]] == answer["sequence_length"].tolist() == answer["num_output_tokens"].tolist()
    assert [[[0.0, 0.0, 0.0]]] == answer["output_log_probs"].tolist()
    assert answer["cum_log_probs"].item() < 0


def test_only_listed_outputs_return_when_the_client_lists_them(infer: Infer) -> None:
    """A tensor that has no value is absent, not empty."""
    outputs = ("output_ids", "sequence_length", "cum_log_probs")

    answer = infer(MODEL, random_tokens(10, seed=11), outputs=outputs, request_output_len=1, return_perf_metrics=True)

    assert {"output_ids", "sequence_length"} == set(answer)


@pytest.mark.parametrize(
    ("model", "token_count", "call", "told"),
    [
        (ENGINE_DEFAULTS, 512, {}, r"Prompt length \(512\) exceeds maximum input length \(511\)"),
        (MODEL, MAX_SEQ_LEN, {}, r"Prompt length \(1024\) exceeds maximum input length \(1023\)"),
        (ENGINE_DEFAULTS, 5, {"return_generation_logits": True}, "gather_generation_logits must be enabled"),
        (MODEL, 5, {"outputs": ("output_ids",)}, "sequence_length tensor must be present in list of output tensors"),
        (MODEL, 5, {"beam_width": 2}, "does not support beam_width 2"),
        (MODEL, 5, {"guided_decoding_guide": np.array([[b"{}"]], object)}, "does not support guided_decoding_guide"),
        (MODEL, 5, {"end_id": VOCABULARY_SIZE}, r"EndId \(1024\) is not within acceptable range \[-1, 1024\)"),
    ],
)
def test_a_call_fails_as_internal_with_the_backends_text(
    infer: Infer, model: str, token_count: int, call: dict[str, object], told: str
) -> None:
    """Everything the backend itself refuses has the status that the C++ backend gives it."""
    with pytest.raises(InferenceServerException, match=told) as refusal:
        infer(model, random_tokens(token_count, seed=12), **{"request_output_len": 1, **call})

    assert "StatusCode.INTERNAL" == refusal.value.status()


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"random_seed": 1}, "unexpected inference input 'random_seed'"),
        ({"request_output_len": np.array([1], np.int32)}, "unexpected shape for input 'request_output_len'"),
        ({"request_output_len": 1.0}, "data-type"),
    ],
)
def test_a_call_fails_as_invalid_argument_when_triton_refuses_it(
    infer: Infer, inputs: dict[str, object], told: str
) -> None:
    """Names, shapes and types are checked by Triton against the tensor table before the model sees the call."""
    with pytest.raises(InferenceServerException, match=told) as refusal:
        infer(MODEL, [1, 2, 3], **{"request_output_len": 1, **inputs})

    assert "StatusCode.INVALID_ARGUMENT" == refusal.value.status()


def test_two_prompts_in_one_call_are_refused(client: InferenceServerClient, make_inputs: MakeInputs) -> None:
    """The executor is serial and says so in max_batch_size."""
    inputs = make_inputs([1, 2, 3], request_output_len=np.array([[1], [1]], np.int32))
    for tensor in inputs[:2]:
        values = np.repeat(np.array([[1, 2, 3]] if tensor.name() == "input_ids" else [[3]], np.int32), 2, axis=0)
        tensor.set_shape(values.shape).set_data_from_numpy(values)

    with pytest.raises(InferenceServerException, match="batch-size must be <= 1"):
        client.infer(MODEL, inputs)


def test_a_call_stops_when_its_deadline_passes(client: InferenceServerClient, make_inputs: MakeInputs) -> None:
    """The next call does not wait for the rest of a generation that nobody reads.

    Were the generation to go on, nine tenths of it would be ahead of the next call. A busy machine may delay that one
    call as long, so it has a few tries; an executor that goes on fails every one of them.
    """
    inputs = make_inputs(random_tokens(20, seed=13), request_output_len=1000, return_perf_metrics=True)
    whole = client.infer(MODEL, inputs)
    whole_s = (whole.as_numpy("last_token_time_ns") - whole.as_numpy("arrival_time_ns")).item() / 1e9

    def next_call_is_in_time(seed: int) -> bool:
        with pytest.raises(InferenceServerException, match="Deadline Exceeded"):
            client.infer(MODEL, inputs, client_timeout=whole_s / 10)
        short = make_inputs(random_tokens(20, seed=seed), request_output_len=1)
        try:
            client.infer(MODEL, short, client_timeout=whole_s * 0.7)
        except InferenceServerException:
            return False
        return True

    assert any(next_call_is_in_time(seed) for seed in range(14, 19))


def test_calls_are_refused_at_once_when_the_queue_is_full(
    client: InferenceServerClient, make_inputs: MakeInputs
) -> None:
    """With one place in the queue, of ten calls behind a long one most get UNAVAILABLE and none is lost."""
    answers: SimpleQueue[tuple[InferResult | None, InferenceServerException | None]] = SimpleQueue()
    inputs = make_inputs(random_tokens(20, seed=15), request_output_len=300)
    for _ in range(11):
        client.async_infer(WITHOUT_REUSE, inputs, lambda result, error: answers.put((result, error)))

    errors = [error for _, error in (answers.get(timeout=60) for _ in range(11)) if error is not None]

    assert 7 <= len(errors) <= 10
    assert {"StatusCode.UNAVAILABLE"} == {error.status() for error in errors}
    assert all("Exceeds maximum queue size" in error.message() for error in errors)


async def test_loading_fails_with_the_remedy_when_there_is_no_export(tmp_path: Path) -> None:
    """Whoever forgot to mount the model reads which folder was looked at."""
    repository = Path(__file__).parents[3] / "model_repository"
    model = EmbeddedModel(MODEL, {"model_directory": str(tmp_path)})
    triton = EmbeddedTriton(repository, (model,), 60.0)

    with pytest.raises(EmbeddedTritonError, match=r"genai_config\.json is missing"):
        await triton.start()

    triton.close()
