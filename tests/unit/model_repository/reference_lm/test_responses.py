"""The tensors of an answer: the engine's shapes and counters."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from lm_backend.errors import ResponseError, message_to_client
from lm_backend.generation import Generation
from lm_backend.requests import GenerationRequest
from lm_backend.responses import build_outputs

VOCABULARY_SIZE = 6
GENERATION = Generation(
    tokens=np.array([3, 4], np.int32),
    log_probs=np.array([-0.5, -0.25], np.float32),
    cum_log_prob=-1.0,
    logits=np.zeros((4, VOCABULARY_SIZE), np.float32),
    reused_tokens=0,
    scheduled_ns=20,
    first_token_ns=30,
    last_token_ns=40,
)


def outputs_of(
    request: GenerationRequest, generation: Generation = GENERATION, *, normalize_log_probs: bool = False
) -> dict[str, npt.NDArray[np.generic]]:
    """Build the tensors of an answer to a call that arrived at 10 ns."""
    return build_outputs(request, generation, arrival_ns=10, normalize_log_probs=normalize_log_probs)


def test_the_tensors_have_the_engines_shapes_when_everything_is_asked_for(base_request: GenerationRequest) -> None:
    """A batch of one and one beam lead every shape; every output listed is there."""
    outputs = outputs_of(base_request)

    assert base_request.requested_outputs == set(outputs)
    assert [[[3, 4]]] == outputs["output_ids"].tolist()
    assert [[2]] == outputs["sequence_length"].tolist()
    assert [[[-0.5, -0.25]]] == outputs["output_log_probs"].tolist()
    assert [[-1.0]] == outputs["cum_log_probs"].tolist()
    assert (1, 1, 4, VOCABULARY_SIZE) == outputs["generation_logits"].shape
    assert [[1]] == outputs["num_input_tokens"].tolist()
    assert [[2]] == outputs["num_output_tokens"].tolist()
    assert [[0.0]] == outputs["acceptance_rate"].tolist()
    times = [outputs[f"{name}_time_ns"].item() for name in ("arrival", "first_scheduled", "first_token", "last_token")]
    assert [10, 20, 30, 40] == times
    assert np.float32 == outputs["generation_logits"].dtype
    assert np.int64 == outputs["arrival_time_ns"].dtype
    assert np.int32 == outputs["kv_cache_reused_blocks"].dtype


def test_the_prompt_leads_the_output_when_it_is_not_excluded(base_request: GenerationRequest) -> None:
    """sequence_length and num_output_tokens count it then, as the C++ backend's do; log-probabilities do not."""
    prompt = np.array([1, 2], np.int32)

    outputs = outputs_of(replace(base_request, input_ids=prompt, exclude_input_in_output=False))

    assert [[[1, 2, 3, 4]]] == outputs["output_ids"].tolist()
    assert [[4]] == outputs["sequence_length"].tolist()
    assert [[4]] == outputs["num_output_tokens"].tolist()
    assert (1, 1, 2) == outputs["output_log_probs"].shape


def test_log_probs_are_zero_when_they_are_normalised_inside_the_top_1(base_request: GenerationRequest) -> None:
    """The engine's default makes the same zeros; the cumulated one is over the full vocabulary in both modes."""
    outputs = outputs_of(base_request, normalize_log_probs=True)

    assert [[[0.0, 0.0]]] == outputs["output_log_probs"].tolist()
    assert [[-1.0]] == outputs["cum_log_probs"].tolist()


def test_an_output_is_absent_when_it_was_not_asked_for(base_request: GenerationRequest) -> None:
    """Neither a flag without the output in the list nor an output without its flag returns it."""
    listed = frozenset({"output_ids", "sequence_length", "cum_log_probs"})

    outputs = outputs_of(replace(base_request, return_log_probs=False, requested_outputs=listed))

    assert {"output_ids", "sequence_length"} == set(outputs)


@pytest.mark.parametrize("missing", ["output_ids", "sequence_length"])
def test_a_response_is_refused_when_the_list_lacks_a_required_output(
    base_request: GenerationRequest, missing: str
) -> None:
    """The text is the C++ backend's."""
    request = replace(base_request, requested_outputs=base_request.requested_outputs - {missing})

    with pytest.raises(ResponseError) as refusal:
        outputs_of(request)

    expected = (
        f"Error encountered while populating response: {missing} tensor must be present in list of output tensors"
    )
    assert expected == message_to_client(refusal.value, 1)


@pytest.mark.parametrize(
    ("prompt_tokens", "reused_tokens", "reused_blocks", "new_blocks"),
    [(64, 0, 0, 2), (65, 0, 0, 3), (64, 40, 1, 1), (64, 62, 1, 1), (70, 66, 2, 1), (31, 29, 0, 1)],
)
def test_block_counters_tell_the_reused_prefix_in_whole_blocks(
    base_request: GenerationRequest, prompt_tokens: int, reused_tokens: int, reused_blocks: int, new_blocks: int
) -> None:
    """Reused blocks times 32 never exceed the tokens that were really taken from the cache."""
    request = replace(base_request, input_ids=np.zeros(prompt_tokens, np.int32))

    outputs = outputs_of(request, replace(GENERATION, reused_tokens=reused_tokens))

    assert reused_blocks == outputs["kv_cache_reused_blocks"].item()
    assert new_blocks == outputs["kv_cache_alloc_new_blocks"].item()
    assert new_blocks == outputs["kv_cache_alloc_total_blocks"].item()
