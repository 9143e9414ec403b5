"""tensorrt_llm and reference_lm promise Triton the same tensors."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from lm_backend.settings import read_settings
from tritonclient.grpc import model_config_pb2

REPOSITORY = Path(__file__).parents[3] / "model_repository"
MODELS = ("tensorrt_llm", "reference_lm")

# What the service sends and reads, from the wire recipe of TensorRT-LLM 1.2.1: type, dims without the batch, scalar.
SERVICE_TENSORS = {
    "input_ids": ("TYPE_INT32", [-1], False),
    "input_lengths": ("TYPE_INT32", [1], True),
    "request_output_len": ("TYPE_INT32", [1], True),
    "end_id": ("TYPE_INT32", [1], True),
    "pad_id": ("TYPE_INT32", [1], True),
    "runtime_top_k": ("TYPE_INT32", [1], True),
    "temperature": ("TYPE_FP32", [1], True),
    "seed": ("TYPE_UINT64", [1], True),
    "embedding_bias": ("TYPE_FP32", [-1], False),
    "return_generation_logits": ("TYPE_BOOL", [1], True),
    "return_perf_metrics": ("TYPE_BOOL", [1], True),
    "return_log_probs": ("TYPE_BOOL", [1], True),
    "exclude_input_in_output": ("TYPE_BOOL", [1], True),
    "retention_token_range_starts": ("TYPE_INT32", [-1], False),
    "retention_token_range_ends": ("TYPE_INT32", [-1], False),
    "retention_token_range_priorities": ("TYPE_INT32", [-1], False),
    "output_ids": ("TYPE_INT32", [-1, -1], False),
    "sequence_length": ("TYPE_INT32", [-1], False),
    "generation_logits": ("TYPE_FP32", [-1, -1, -1], False),
    "cum_log_probs": ("TYPE_FP32", [-1], False),
    "output_log_probs": ("TYPE_FP32", [-1, -1], False),
    "kv_cache_reused_blocks": ("TYPE_INT32", [1], False),
    "first_token_time_ns": ("TYPE_INT64", [1], False),
}


def read_config(model: str) -> model_config_pb2.ModelConfig:
    """Parse a model's config.pbtxt with Triton's own protobuf."""
    text = (REPOSITORY / model / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_inputs_and_outputs_are_equal_between_the_engine_and_its_reference() -> None:
    """Name, type, dims, reshape, optionality and raggedness of every tensor, in the same order."""
    engine, reference = read_config("tensorrt_llm"), read_config("reference_lm")

    assert list(engine.input) == list(reference.input)
    assert list(engine.output) == list(reference.output)


def test_the_engines_tensor_table_is_complete() -> None:
    """TensorRT-LLM's template has 62 inputs, of which two are required, and 21 outputs."""
    engine = read_config("tensorrt_llm")

    assert 62 == len({tensor.name for tensor in engine.input}) == len(engine.input)
    assert 21 == len({tensor.name for tensor in engine.output}) == len(engine.output)
    required = {tensor.name for tensor in engine.input if not tensor.optional}
    assert {"input_lengths", "request_output_len"} == required


@pytest.mark.parametrize("model", MODELS)
def test_the_tensors_of_the_service_have_the_wire_shapes(model: str) -> None:
    """A scalar is dims [1] reshaped to nothing, so that it is [1, 1] on the wire."""
    config = read_config(model)
    tensors = {tensor.name: tensor for tensor in (*config.input, *config.output)}

    found = {
        name: (
            model_config_pb2.DataType.Name(tensors[name].data_type),
            list(tensors[name].dims),
            tensors[name].HasField("reshape"),
        )
        for name in SERVICE_TENSORS
    }

    assert found == SERVICE_TENSORS
    assert not [tensor.name for tensor in tensors.values() if tensor.reshape.shape]


@pytest.mark.parametrize("model", MODELS)
def test_a_model_answers_unary_calls_and_declares_its_version(model: str) -> None:
    """The service uses unary inference and compares model_version with its bundle's digest."""
    config = read_config(model)

    assert model == config.name
    assert not config.model_transaction_policy.decoupled
    assert config.dynamic_batching.default_queue_policy.max_queue_size > 0
    assert "model_version" in config.parameters


def test_the_engines_config_needs_no_template_filling() -> None:
    """No placeholder is left, and the keys that the C++ backend fetches without a fallback are there."""
    text = (REPOSITORY / "tensorrt_llm" / "config.pbtxt").read_text(encoding="utf-8")
    config = read_config("tensorrt_llm")

    assert "${" not in text
    assert "tensorrtllm" == config.backend
    assert {"tokenizer_dir", "guided_decoding_backend", "xgrammar_tokenizer_info_path"} <= set(config.parameters)
    assert "false" == config.parameters["normalize_log_probs"].string_value
    assert "true" == config.parameters["enable_kv_cache_reuse"].string_value
    assert "inflight_fused_batching" == config.parameters["gpt_model_type"].string_value


def test_the_references_committed_parameters_are_valid() -> None:
    """The config.pbtxt in the repository loads as it is."""
    parameters = {key: value.string_value for key, value in read_config("reference_lm").parameters.items()}

    settings = read_settings(parameters, REPOSITORY / "reference_lm" / "1")

    assert REPOSITORY / "reference_lm" / "1" / "model" == settings.model_directory
    assert settings.gather_generation_logits
    assert settings.enable_kv_cache_reuse
    assert not settings.normalize_log_probs


def test_the_reference_takes_one_prompt_per_call() -> None:
    """Its executor is serial; a larger batch would be a promise it does not keep."""
    config = read_config("reference_lm")

    assert 1 == config.max_batch_size
    assert "python" == config.backend
