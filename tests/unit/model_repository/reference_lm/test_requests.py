"""The tensors of a call become a request, or an error that names the tensor."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from lm_backend.errors import RequestError
from lm_backend.requests import GenerationRequest, read_request

VOCABULARY_SIZE = 8
Tensors = Mapping[str, npt.NDArray[np.generic]]


def scalar(value: float, dtype: type[np.generic] = np.int32) -> npt.NDArray[np.generic]:
    """Shape a scalar input as Triton hands it over: the batch dimension alone."""
    return np.array([value], dtype)


def read(**tensors: npt.NDArray[np.generic]) -> GenerationRequest:
    """Read a call of three prompt tokens with some more inputs."""
    prompt: dict[str, npt.NDArray[np.generic]] = {
        "input_ids": np.array([[1, 2, 3]], np.int32),
        "input_lengths": scalar(3),
        "request_output_len": scalar(2),
    }
    return read_request(
        {name: value for name, value in {**prompt, **tensors}.items() if value.size},
        frozenset({"output_ids", "sequence_length"}),
        exclude_input_in_output=True,
        vocabulary_size=VOCABULARY_SIZE,
    )


NOTHING = np.zeros(0, np.int32)


def test_defaults_are_the_engines_when_only_required_inputs_are_sent() -> None:
    """Without end_id nothing ends the answer early, and nothing optional is returned."""
    request = read()

    assert [1, 2, 3] == request.input_ids.tolist()
    assert 2 == request.max_new_tokens
    assert -1 == request.end_id
    assert 1.0 == request.temperature
    assert 0 == len(request.embedding_bias)
    assert 0 == request.pinned_tokens
    assert request.exclude_input_in_output
    assert not any(getattr(request, name) for name in GenerationRequest.__slots__ if name.startswith("return_"))


def test_the_calls_choice_wins_over_the_parameter_when_it_asks_for_the_prompt() -> None:
    """exclude_input_in_output of the call overrides the parameter of the same name."""
    assert not read(exclude_input_in_output=scalar(value=False, dtype=np.bool_)).exclude_input_in_output


@pytest.mark.parametrize(
    "inputs",
    [
        {"beam_width": scalar(1)},
        {"runtime_top_k": scalar(1), "runtime_top_p": scalar(0.9, np.float32), "seed": scalar(7, np.uint64)},
        {"runtime_top_p": scalar(0.0, np.float32)},
        {"repetition_penalty": scalar(1.0, np.float32), "min_tokens": scalar(1)},
        {"streaming": scalar(value=False, dtype=np.bool_), "retention_decode_priority": np.array([[0]], np.int32)},
    ],
)
def test_an_input_is_accepted_when_it_changes_nothing(inputs: Tensors) -> None:
    """What the service sends the engine is valid here too."""
    assert 3 == len(read(**inputs).input_ids)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"beam_width": scalar(2)}, "beam_width 2: leave the input out"),
        ({"runtime_top_k": scalar(5)}, "sampling .runtime_top_k 5, runtime_top_p 0.0.: send runtime_top_k 1"),
        ({"runtime_top_p": scalar(0.5, np.float32)}, "sampling"),
        ({"temperature": scalar(0.0, np.float32)}, "temperature 0.0: send a value above 0"),
        ({"streaming": scalar(value=True, dtype=np.bool_)}, "streaming True"),
        ({"return_context_logits": scalar(value=True, dtype=np.bool_)}, "return_context_logits"),
        ({"guided_decoding_guide": np.array([[b"{}"]], object)}, "guided_decoding_guide: leave the input out"),
        ({"stop_words_list": np.array([[[1], [1]]], np.int32)}, "stop_words_list"),
        ({"draft_input_ids": np.array([[1]], np.int32)}, "draft_input_ids"),
    ],
)
def test_a_call_is_refused_when_it_asks_for_a_feature_of_the_engine_alone(inputs: Tensors, told: str) -> None:
    """An answer that silently lacks the feature would be a wrong reference."""
    with pytest.raises(RequestError, match=f"reference_lm does not support {told}"):
        read(**inputs)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"input_ids": NOTHING}, "inputTokens or encoderInputFeatures tensor not provided"),
        ({"request_output_len": NOTHING}, "request_output_len is not present in the request"),
        ({"request_output_len": scalar(0)}, "request_output_len is 0: ask for at least 1 token"),
        ({"input_lengths": scalar(2)}, "input_lengths is 2 but input_ids holds 3 tokens"),
        ({"input_ids": np.array([[1, 2, 8]], np.int32)}, "input_ids holds 8: tokens of this model are 0 to 7"),
        ({"input_ids": np.array([[1, 2, -1]], np.int32)}, "input_ids holds -1"),
        ({"end_id": scalar(8)}, r"EndId \(8\) is not within acceptable range \[-1, 8\)\."),
        ({"embedding_bias": np.zeros((1, 3), np.float32)}, "embedding_bias has 3 values: send 8"),
        ({"retention_token_range_starts": np.array([[0]], np.int32)}, "retention_token_range_ends must be provided"),
        (
            {
                "retention_token_range_starts": np.array([[0]], np.int32),
                "retention_token_range_ends": np.array([[2]], np.int32),
                "retention_token_range_priorities": np.array([[100, 100]], np.int32),
            },
            "retention_token_range_priorities must be provided, and have the same length",
        ),
    ],
)
def test_a_call_is_refused_when_a_tensor_is_wrong(inputs: Tensors, told: str) -> None:
    """The message names the tensor, its value and what to send."""
    with pytest.raises(RequestError, match=told):
        read(**inputs)


@pytest.mark.parametrize(
    ("ranges", "pinned_tokens"),
    [
        ([(0, 2, 100)], 2),
        ([(0, -1, 100)], 3),
        ([(0, 9, 100)], 3),
        ([(0, 2, 35)], 0),
        ([(1, 3, 100)], 0),
        ([(1, 3, 100), (0, 1, 100)], 3),
        ([(0, 1, 100), (2, 3, 100)], 1),
    ],
)
def test_a_prefix_is_pinned_when_ranges_of_the_highest_priority_cover_it(
    ranges: list[tuple[int, int, int]], pinned_tokens: int
) -> None:
    """Only an unbroken run from the first token counts: a state can be kept up to a length, not in pieces."""
    columns = np.array(ranges, np.int32).T[:, np.newaxis]
    names = ("starts", "ends", "priorities")

    request = read(**{f"retention_token_range_{name}": column for name, column in zip(names, columns, strict=True)})

    assert pinned_tokens == request.pinned_tokens


@pytest.mark.parametrize(("duration_ms", "expected"), [(-1, None), (500, 500)])
def test_a_pin_expires_when_its_duration_is_given(duration_ms: int, expected: int | None) -> None:
    """A duration of -1 means as long as there is room."""
    pin: dict[str, npt.NDArray[np.generic]] = {
        "retention_token_range_starts": np.array([[0]], np.int32),
        "retention_token_range_ends": np.array([[2]], np.int32),
        "retention_token_range_priorities": np.array([[100]], np.int32),
    }

    request = read(**pin, retention_token_range_durations_ms=np.array([[duration_ms]], np.int32))

    assert (2, expected) == (request.pinned_tokens, request.pin_duration_ms)
