"""model_repository/tensorrt_llm/config.pbtxt against a table of facts, and against what the client sends and reads.

The table of tensors and parameters is `tests/data/upstream/trtllm.json`, extracted from TensorRT-LLM's own template;
nothing in it is read from the file under test.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig, ModelInstanceGroup
from tritonclient.utils import np_to_triton_dtype

from archrouter.bundles.loader import PromptBundle
from archrouter.domain.prompt import Prompt
from archrouter.inference import tensors
from archrouter.inference.language_model import scoring_inputs
from archrouter.inference.triton_client import NamedArray


@dataclass(frozen=True)
class Fact:
    """One tensor: type, dims without the batch, whether it is a scalar (dims [1] reshaped to []), and its flags."""

    dtype: str
    dims: tuple[int, ...]
    scalar: bool = False
    ragged: bool = False
    optional: bool = True


UPSTREAM = json.loads(Path(__file__).parents[2].joinpath("data", "upstream", "trtllm.json").read_text("utf-8"))
FILLED_IN = {
    "${logits_datatype}": "FP32",  # that of the TensorRT engine
    "${encoder_input_features_data_type}": "FP16",
    "${prompt_embedding_table_data_type}": "FP16",
}


def facts(tensors_of: str) -> dict[str, Fact]:
    """Read what upstream's template says of its inputs or outputs; an output's optionality says nothing."""
    return {
        name: Fact(
            FILLED_IN.get(fact["type"], fact["type"]),
            tuple(fact["dims"]),
            fact.get("scalar", False),
            fact.get("ragged", False),
            fact.get("optional", tensors_of == "outputs"),
        )
        for name, fact in UPSTREAM["model_config"][tensors_of].items()
    }


INPUTS, OUTPUTS = facts("inputs"), facts("outputs")

MUST_EXIST_EVEN_EMPTY = ("tokenizer_dir", "guided_decoding_backend", "xgrammar_tokenizer_info_path")
"""The C++ backend fetches them without a fallback: without the key the model does not load."""

SET_PARAMETERS = {
    "gpt_model_path": "/opt/archrouter/bundle/engine",
    "gpt_model_type": "inflight_fused_batching",
    "batch_scheduler_policy": "guaranteed_no_evict",
    "max_beam_width": "1",
    "enable_kv_cache_reuse": "true",
    "enable_chunked_context": "true",
    "max_tokens_in_paged_kv_cache": "131072",
    "kv_cache_free_gpu_mem_fraction": "0.6",
    "kv_cache_host_memory_bytes": "0",
    "kv_cache_onboard_blocks": "true",
    "normalize_log_probs": "false",
    "exclude_input_in_output": "true",
    "cancellation_check_period_ms": "10",
    "stats_check_period_ms": "100",
    "iter_stats_max_iterations": "1000",
    "request_stats_max_iterations": "0",
    "FORCE_CPU_ONLY_INPUT_TENSORS": "no",
    "executor_worker_path": "/opt/tritonserver/backends/tensorrtllm/trtllmExecutorWorker",
}

UNSET_PARAMETERS = (
    *MUST_EXIST_EVEN_EMPTY,
    "model_version",  # ours; each deployed bundle fills it in
    *("decoding_mode", "max_attention_window_size", "sink_token_length", "cross_kv_cache_fraction"),
    *("gpu_device_ids", "participant_ids", "num_nodes", "encoder_model_path"),
    *("cuda_graph_mode", "cuda_graph_cache_size", "multi_block_mode", "enable_context_fmha_fp32_acc"),
    *("gpu_weights_percent", "medusa_choices", "eagle_choices", "speculative_decoding_fast_logits"),
    *("lora_cache_optimal_adapter_size", "lora_cache_max_adapter_size", "lora_cache_gpu_memory_fraction"),
    *("lora_cache_host_memory_bytes", "lora_prefetch_dir"),
    *("lookahead_window_size", "lookahead_ngram_size", "lookahead_verification_set_size"),
)

RENAMED_TENSORS = {
    "min_length": "min_tokens",
    "random_seed": "seed",
    "return_kv_cache_reuse_stats": "return_perf_metrics",
}
"""Names of old templates, with today's. Sending an old one is INVALID_ARGUMENT."""


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    """Read the file."""
    return (root / "model_repository" / "tensorrt_llm" / "config.pbtxt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def config(text: str) -> ModelConfig:
    """Parse it with Triton's own protobuf."""
    return text_format.Parse(text, ModelConfig())


@pytest.fixture
def sent() -> list[NamedArray]:
    """Write one request as the service does, of 40 prompt tokens and a path of 2."""
    bundle = cast("PromptBundle", SimpleNamespace(end_id=7, pad_id=8))
    return scoring_inputs(bundle, Prompt(tuple(range(40)), 32, 0, 0), (1, 2), pinned=True)


def found_fact(tensor: Any) -> Fact:  # noqa: ANN401  # a protobuf message
    """Read the fact that the file states; a reshape to anything but [] is no fact of this model."""
    assert [] == list(tensor.reshape.shape)
    return Fact(
        DataType.Name(tensor.data_type).removeprefix("TYPE_"),
        tuple(tensor.dims),
        tensor.HasField("reshape"),
        getattr(tensor, "allow_ragged_batch", False),
        getattr(tensor, "optional", True),
    )


def test_every_input_is_upstreams(config: ModelConfig) -> None:
    """62 inputs: name, type, dims, reshape, raggedness, and which two are required."""
    assert INPUTS == {tensor.name: found_fact(tensor) for tensor in config.input}
    assert 62 == len(INPUTS) == len(config.input)


def test_every_output_is_upstreams(config: ModelConfig) -> None:
    """21 outputs, with logits of the type that the engine is built with."""
    assert OUTPUTS == {tensor.name: found_fact(tensor) for tensor in config.output}
    assert 21 == len(OUTPUTS) == len(config.output)


def test_every_parameter_is_a_known_one_with_our_value(config: ModelConfig) -> None:
    """No key is missing, none is unknown to the backend, and each has the value that is meant."""
    expected = {**SET_PARAMETERS, **dict.fromkeys(UNSET_PARAMETERS, "")}

    assert {*UPSTREAM["model_config"]["parameters"], "model_version"} == set(expected)
    assert expected == {key: value.string_value for key, value in config.parameters.items()}


def test_the_frame_is_that_of_unary_in_flight_batching(config: ModelConfig) -> None:
    """One executor, unary calls, no batching of Triton's own, and a bounded queue."""
    assert ("tensorrt_llm", "tensorrtllm", 64) == (config.name, config.backend, config.max_batch_size)
    assert not config.model_transaction_policy.decoupled
    assert [64] == list(config.dynamic_batching.preferred_batch_size)
    assert 0 == config.dynamic_batching.max_queue_delay_microseconds
    assert 256 == config.dynamic_batching.default_queue_policy.max_queue_size
    assert [(1, ModelInstanceGroup.KIND_CPU)] == [(group.count, group.kind) for group in config.instance_group]


def test_nothing_is_left_to_be_filled_in_and_nothing_has_an_old_name(text: str) -> None:
    """A placeholder in a typed field is fatal; a renamed tensor is refused."""
    assert "${" not in text
    assert [] == [name for name in RENAMED_TENSORS if f'"{name}"' in text]
    assert set(RENAMED_TENSORS.values()) <= set(INPUTS)


def test_every_tensor_the_client_sends_exists_with_its_type_and_wire_shape(sent: list[NamedArray]) -> None:
    """A scalar is [1, 1] on the wire, everything else [1, ...] with the dims of the table."""
    for named in sent:
        fact = INPUTS[named.tensor.name]
        batch, *dims = named.value.shape

        assert fact.dtype == named.tensor.datatype == np_to_triton_dtype(named.value.dtype)
        assert 1 == batch
        assert len(fact.dims) == len(dims)
        assert all(declared in {-1, length} for declared, length in zip(fact.dims, dims, strict=True))


def test_the_client_sends_what_it_declares_and_all_that_is_required(sent: list[NamedArray]) -> None:
    """The contract in the code names exactly the inputs of a request, each once."""
    names = [named.tensor.name for named in sent]

    assert sorted(tensor.name for tensor in tensors.LANGUAGE_MODEL.inputs) == sorted(names)
    assert {name for name, fact in INPUTS.items() if not fact.optional} <= set(names)
    assert [] == [name for name in names if name in RENAMED_TENSORS]


def test_the_contract_in_the_code_is_that_of_the_table() -> None:
    """Type, dims and scalar of every tensor the service names, inputs and outputs."""
    for declared, table in ((tensors.LANGUAGE_MODEL.inputs, INPUTS), (tensors.LANGUAGE_MODEL.outputs, OUTPUTS)):
        expected = {tensor.name: (table[tensor.name].dtype, table[tensor.name].dims) for tensor in declared}

        assert expected == {tensor.name: (tensor.datatype, tensor.dims) for tensor in declared}
        assert [table[tensor.name].scalar for tensor in declared] == [tensor.is_scalar for tensor in declared]


def test_the_client_reads_the_two_outputs_that_must_be_listed() -> None:
    """The C++ backend refuses a list of outputs without them."""
    assert {"output_ids", "sequence_length"} <= {tensor.name for tensor in tensors.LANGUAGE_MODEL.outputs}
