"""The tensors of one call, read into a request; what the engine can do and this model cannot is refused by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from lm_backend.errors import RequestError

Scalar = TypeVar("Scalar", int, float, bool)

NO_END_ID = -1
NO_RANGE_END = -1
NO_EXPIRY = -1
# TensorRT-LLM orders blocks by priority 0 to 100; only the highest is a pin here.
PIN_PRIORITY = 100

# Inputs that change nothing for one beam that takes the most likely token.
_WITHOUT_EFFECT = frozenset(
    {
        "seed",
        "len_penalty",
        "early_stopping",
        "beam_search_diversity_rate",
        "runtime_top_p_min",
        "runtime_top_p_decay",
        "runtime_top_p_reset_ids",
        "retention_decode_priority",
        "retention_decode_duration_ms",
    }
)
# Inputs that are accepted at the value that switches their feature off.
_NEUTRAL_VALUES: dict[str, tuple[float, ...]] = {
    "beam_width": (1,),
    "num_return_sequences": (1,),
    "min_tokens": (0, 1),
    "repetition_penalty": (1.0,),
    "presence_penalty": (0.0,),
    "frequency_penalty": (0.0,),
    "return_context_logits": (False,),
    "streaming": (False,),
    "stop": (False,),
}
# What a call may ask to have returned; each is false where it does not say.
_FLAGS = (
    "return_log_probs",
    "return_generation_logits",
    "return_perf_metrics",
    "return_num_input_tokens",
    "return_num_output_tokens",
)
_READ = frozenset(
    {
        *_FLAGS,
        "input_ids",
        "input_lengths",
        "request_output_len",
        "end_id",
        "pad_id",
        "temperature",
        "runtime_top_k",
        "runtime_top_p",
        "embedding_bias",
        "exclude_input_in_output",
        "retention_token_range_starts",
        "retention_token_range_ends",
        "retention_token_range_priorities",
        "retention_token_range_durations_ms",
    }
)


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One call.

    Attributes:
        input_ids: The prompt, int32 ``[N]``, N at least 1.
        max_new_tokens: ``request_output_len``, at least 1.
        end_id: The token that ends the answer, ``NO_END_ID`` for none.
        temperature: Divides the logits before log-probabilities are taken; above 0.
        embedding_bias: Added to the logits before the choice, float32 ``[vocabulary]``, or ``[0]`` for none.
        pinned_tokens: Length of the prompt's prefix to keep before others, 0 for none.
        pin_duration_ms: How long it is kept so after its last use, above 0; None for as long as there is room.
        return_log_probs: Whether log-probabilities are returned.
        return_generation_logits: Whether the raw logits are returned.
        return_perf_metrics: Whether cache counters and times are returned.
        return_num_input_tokens: Whether the prompt's length is returned.
        return_num_output_tokens: Whether the output's length is returned.
        exclude_input_in_output: Whether ``output_ids`` leaves the prompt out.
        requested_outputs: Names of the outputs that the client listed (all, where it listed none).
    """

    input_ids: npt.NDArray[np.int32]
    max_new_tokens: int
    end_id: int
    temperature: float
    embedding_bias: npt.NDArray[np.float32]
    pinned_tokens: int
    pin_duration_ms: int | None
    return_log_probs: bool
    return_generation_logits: bool
    return_perf_metrics: bool
    return_num_input_tokens: bool
    return_num_output_tokens: bool
    exclude_input_in_output: bool
    requested_outputs: frozenset[str]


def read_request(
    tensors: Mapping[str, npt.NDArray[np.generic]],
    requested_outputs: frozenset[str],
    *,
    exclude_input_in_output: bool,
    vocabulary_size: int,
) -> GenerationRequest:
    """Read a call.

    Args:
        tensors: Input name to its value with the batch dimension of 1 first, as Triton hands it over.
        requested_outputs: Names the client listed, or all.
        exclude_input_in_output: What holds where the call does not say.
        vocabulary_size: Rows of logits of the model.

    Returns:
        The request.

    Raises:
        RequestError: A tensor is missing, out of range, or asks for a feature this model does not have.
    """
    _refuse_unsupported(tensors)
    input_ids = _read_input_ids(tensors, vocabulary_size)
    flags = {name: _scalar(tensors, name, default=False) for name in _FLAGS}
    pinned_tokens, pin_duration_ms = _read_pin(tensors, len(input_ids))
    return GenerationRequest(
        input_ids=input_ids,
        max_new_tokens=_read_max_new_tokens(tensors),
        end_id=_read_end_id(tensors, vocabulary_size),
        temperature=_read_temperature(tensors),
        embedding_bias=_read_embedding_bias(tensors, vocabulary_size),
        pinned_tokens=pinned_tokens,
        pin_duration_ms=pin_duration_ms,
        exclude_input_in_output=_scalar(tensors, "exclude_input_in_output", default=exclude_input_in_output),
        requested_outputs=requested_outputs,
        **flags,
    )


def _refuse_unsupported(tensors: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Refuse inputs whose effect the client would miss in the answer."""
    for name, values in tensors.items():
        if name in _NEUTRAL_VALUES:
            if values.item() not in _NEUTRAL_VALUES[name]:
                _refuse(f"{name} {values.item()}", "leave the input out")
        elif name not in _READ and name not in _WITHOUT_EFFECT:
            _refuse(name, "leave the input out")
    top_k, top_p = _scalar(tensors, "runtime_top_k", 0), _scalar(tensors, "runtime_top_p", 0.0)
    if top_k > 1 or (top_k != 1 and top_p > 0):
        _refuse(f"sampling (runtime_top_k {top_k}, runtime_top_p {top_p})", "send runtime_top_k 1")


def _refuse(request: str, advice: str) -> NoReturn:
    """Refuse what the engine does and this model does not."""
    message = f"reference_lm does not support {request}: {advice}"
    raise RequestError(message)


def _read_input_ids(tensors: Mapping[str, npt.NDArray[np.generic]], vocabulary_size: int) -> npt.NDArray[np.int32]:
    """Read the prompt and check it against its declared length and the vocabulary."""
    if "input_ids" not in tensors:
        message = "inputTokens or encoderInputFeatures tensor not provided"  # the C++ backend's text
        raise RequestError(message)
    input_ids = tensors["input_ids"].reshape(-1).astype(np.int32)
    declared_length = _scalar(tensors, "input_lengths", 0)
    if not len(input_ids) or declared_length != len(input_ids):
        # The C++ backend ignores input_lengths for a single prompt; a client that gets it wrong should learn so here.
        message = (
            f"input_lengths is {declared_length} but input_ids holds {len(input_ids)} tokens: send the same, at least 1"
        )
        raise RequestError(message)
    outside = input_ids[(input_ids < 0) | (input_ids >= vocabulary_size)]
    if len(outside):
        message = f"input_ids holds {outside[0]}: tokens of this model are 0 to {vocabulary_size - 1}"
        raise RequestError(message)
    return input_ids


def _read_max_new_tokens(tensors: Mapping[str, npt.NDArray[np.generic]]) -> int:
    """Read request_output_len, which Triton lets a call leave out although it is required."""
    if "request_output_len" not in tensors:
        message = "request_output_len is not present in the request"  # the C++ backend's text
        raise RequestError(message)
    max_new_tokens = _scalar(tensors, "request_output_len", 0)
    if max_new_tokens < 1:
        message = f"request_output_len is {max_new_tokens}: ask for at least 1 token"
        raise RequestError(message)
    return max_new_tokens


def _read_end_id(tensors: Mapping[str, npt.NDArray[np.generic]], vocabulary_size: int) -> int:
    """Read the end token; without one nothing ends the answer early."""
    end_id = _scalar(tensors, "end_id", NO_END_ID)
    if not NO_END_ID <= end_id < vocabulary_size:
        message = f"EndId ({end_id}) is not within acceptable range [-1, {vocabulary_size})."  # the executor's text
        raise RequestError(message)
    return end_id


def _read_temperature(tensors: Mapping[str, npt.NDArray[np.generic]]) -> float:
    """Read the temperature, which here only scales the log-probabilities."""
    temperature = _scalar(tensors, "temperature", 1.0)
    if not temperature > 0:
        _refuse(f"temperature {temperature}", "send a value above 0; the choice is greedy at any")
    return temperature


def _read_embedding_bias(
    tensors: Mapping[str, npt.NDArray[np.generic]], vocabulary_size: int
) -> npt.NDArray[np.float32]:
    """Read the additive bias of the logits; absent and empty both mean none."""
    if "embedding_bias" not in tensors:
        return np.zeros(0, np.float32)
    bias = tensors["embedding_bias"].reshape(-1).astype(np.float32)
    if len(bias) not in (0, vocabulary_size):
        message = f"embedding_bias has {len(bias)} values: send {vocabulary_size}, the padded vocabulary"
        raise RequestError(message)
    return bias


def _read_pin(tensors: Mapping[str, npt.NDArray[np.generic]], prompt_tokens: int) -> tuple[int, int | None]:
    """Return the length of the prefix that ranges of the highest priority cover without a gap, and how long it is kept.

    The prefix is kept as long as the range that expires first. The texts about missing or uneven tensors are the C++
    backend's.
    """
    if "retention_token_range_starts" not in tensors:
        return 0, None
    starts = tensors["retention_token_range_starts"].reshape(-1)
    columns = {"starts": starts}
    missing = {"durations_ms": np.full(len(starts), NO_EXPIRY, np.int32)}
    for column in ("ends", "priorities", "durations_ms"):
        default = missing.get(column, np.zeros(0, np.int32))
        values = tensors.get(f"retention_token_range_{column}", default).reshape(-1)
        if len(values) != len(starts):
            message = (
                f"retention_token_range_{column} must be provided, and have the same length as "
                "retention_token_range_starts"
            )
            raise RequestError(message)
        columns[column] = values
    pinned_tokens, durations_ms = 0, []
    for start, end, priority, duration_ms in sorted(
        zip(*(values.tolist() for values in columns.values()), strict=True)
    ):
        if priority == PIN_PRIORITY and start <= pinned_tokens:
            pinned_tokens = max(pinned_tokens, prompt_tokens if end == NO_RANGE_END else min(end, prompt_tokens))
            durations_ms.append(duration_ms)
    return pinned_tokens, min((value for value in durations_ms if value != NO_EXPIRY), default=None)


def _scalar(tensors: Mapping[str, npt.NDArray[np.generic]], name: str, default: Scalar) -> Scalar:
    """Return the one value of a scalar input as the type of its default, or the default where it is absent."""
    if name not in tensors:
        return default
    return type(default)(tensors[name].item())
