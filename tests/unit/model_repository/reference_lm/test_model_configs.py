"""tensorrt_llm and reference_lm promise Triton the same tensors; elsewhere each of the first is checked."""

from pathlib import Path

import pytest
from google.protobuf import text_format
from lm_backend.settings import read_settings
from tritonclient.grpc import model_config_pb2

REPOSITORY = Path(__file__).parents[4] / "model_repository"
MODELS = ("tensorrt_llm", "reference_lm")


def read_config(model: str) -> model_config_pb2.ModelConfig:
    """Parse a model's config.pbtxt with Triton's own protobuf."""
    text = (REPOSITORY / model / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def test_inputs_and_outputs_are_equal_between_the_engine_and_its_reference() -> None:
    """Name, type, dims, reshape, optionality and raggedness of every tensor, in the same order."""
    engine, reference = read_config("tensorrt_llm"), read_config("reference_lm")

    assert list(engine.input) == list(reference.input)
    assert list(engine.output) == list(reference.output)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_answers_unary_calls_and_declares_its_version(model: str) -> None:
    """The service uses unary inference and compares model_version with its bundle's digest."""
    config = read_config(model)

    assert model == config.name
    assert not config.model_transaction_policy.decoupled
    assert config.dynamic_batching.default_queue_policy.max_queue_size > 0
    assert "model_version" in config.parameters


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
