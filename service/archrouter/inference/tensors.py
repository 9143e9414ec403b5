"""Tensor names, types and config parameters of the Triton models: the only place they are written.

`model_repository/README.md` is the contract's prose.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a model.

    Attributes:
        name: Its name in config.pbtxt.
        datatype: KServe v2 type, e.g. ``FP32``.
        dims: Its dimensions without the batch, as in config.pbtxt; -1 is any length.
        is_scalar: Whether config.pbtxt reshapes dims [1] to [], so that it is [1, 1] on the wire.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]
    is_scalar: bool = False


@dataclass(frozen=True, slots=True)
class ModelTensors:
    """What a model must have for this service to use it."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def _scalar(name: str, datatype: str) -> Tensor:
    return Tensor(name, datatype, (1,), is_scalar=True)


CONVERSATION = Tensor("conversation", "BYTES", (1,))
CANDIDATES = Tensor("candidates", "BYTES", (-1,))
SCORES = Tensor("scores", "FP32", (-1,))
PROMPT_TOKEN_COUNT = Tensor("prompt_token_count", "INT32", (1,))
DROPPED_MESSAGE_COUNT = Tensor("dropped_message_count", "INT32", (1,))
DROPPED_TOKEN_COUNT = Tensor("dropped_token_count", "INT32", (1,))

COMPACT_ROUTER = ModelTensors(
    inputs=(CONVERSATION, CANDIDATES),
    outputs=(SCORES, PROMPT_TOKEN_COUNT, DROPPED_MESSAGE_COUNT, DROPPED_TOKEN_COUNT),
)

PARAMETER_MODEL_VERSION = "model_version"
PARAMETER_TOKENIZER_DIGEST = "tokenizer_digest"
PARAMETER_MAX_PROMPT_TOKEN_COUNT = "max_prompt_token_count"  # noqa: S105  # a key, not a secret
PARAMETER_CALIBRATION = "calibration"
PARAMETER_CALIBRATION_REFERENCE = "calibration_reference"
PARAMETER_MODEL_DIRECTORY = "model_directory"

INPUT_IDS = Tensor("input_ids", "INT32", (-1,))
INPUT_LENGTHS = _scalar("input_lengths", "INT32")
REQUEST_OUTPUT_LEN = _scalar("request_output_len", "INT32")
END_ID = _scalar("end_id", "INT32")
PAD_ID = _scalar("pad_id", "INT32")
RUNTIME_TOP_K = _scalar("runtime_top_k", "INT32")
TEMPERATURE = _scalar("temperature", "FP32")
RETURN_GENERATION_LOGITS = _scalar("return_generation_logits", "BOOL")
RETURN_PERF_METRICS = _scalar("return_perf_metrics", "BOOL")
EXCLUDE_INPUT_IN_OUTPUT = _scalar("exclude_input_in_output", "BOOL")
RETENTION_STARTS = Tensor("retention_token_range_starts", "INT32", (-1,))
RETENTION_ENDS = Tensor("retention_token_range_ends", "INT32", (-1,))
RETENTION_PRIORITIES = Tensor("retention_token_range_priorities", "INT32", (-1,))
RETENTION_DURATIONS_MS = Tensor("retention_token_range_durations_ms", "INT32", (-1,))
OUTPUT_IDS = Tensor("output_ids", "INT32", (-1, -1))
SEQUENCE_LENGTH = Tensor("sequence_length", "INT32", (-1,))
GENERATION_LOGITS = Tensor("generation_logits", "FP32", (-1, -1, -1))
KV_REUSED_BLOCKS = Tensor("kv_cache_reused_blocks", "INT32", (1,))
ARRIVAL_TIME_NS = Tensor("arrival_time_ns", "INT64", (1,))
FIRST_SCHEDULED_TIME_NS = Tensor("first_scheduled_time_ns", "INT64", (1,))

LANGUAGE_MODEL = ModelTensors(
    inputs=(
        INPUT_IDS,
        INPUT_LENGTHS,
        REQUEST_OUTPUT_LEN,
        END_ID,
        PAD_ID,
        RUNTIME_TOP_K,
        TEMPERATURE,
        RETURN_GENERATION_LOGITS,
        RETURN_PERF_METRICS,
        EXCLUDE_INPUT_IN_OUTPUT,
        RETENTION_STARTS,
        RETENTION_ENDS,
        RETENTION_PRIORITIES,
        RETENTION_DURATIONS_MS,
    ),
    # The C++ backend refuses a list of outputs without the first two.
    outputs=(
        OUTPUT_IDS,
        SEQUENCE_LENGTH,
        GENERATION_LOGITS,
        KV_REUSED_BLOCKS,
        ARRIVAL_TIME_NS,
        FIRST_SCHEDULED_TIME_NS,
    ),
)
"""What the service uses of TensorRT-LLM 1.2.1's C++ backend."""

TOKENS_PER_BLOCK = 32
"""KV-cache block of the TensorRT engine (``--tokens_per_block``): the unit of prefix reuse."""
