"""The parameters of reference_lm's config.pbtxt."""

from pathlib import Path

import pytest
from lm_backend.errors import SettingsError
from lm_backend.settings import Settings, read_settings

PARAMETERS = {
    "runtime": "onnxruntime-genai",
    "model_directory": "model",
    "model_version": "sha256:ab",
    "max_seq_len": "4096",
    "gather_generation_logits": "true",
    "enable_kv_cache_reuse": "true",
    "prefix_cache_entries": "4",
    "prefill_chunk_tokens": "128",
    "normalize_log_probs": "false",
    "exclude_input_in_output": "true",
    "intra_op_threads": "0",
}


def test_settings_are_read_when_every_parameter_is_there() -> None:
    """Each parameter becomes the attribute of its name; a relative folder starts at the version folder."""
    expected = Settings(
        runtime="onnxruntime-genai",
        model_directory=Path("/repository/reference_lm/1/model"),
        model_version="sha256:ab",
        max_seq_len=4096,
        gather_generation_logits=True,
        enable_kv_cache_reuse=True,
        prefix_cache_entries=4,
        prefill_chunk_tokens=128,
        normalize_log_probs=False,
        exclude_input_in_output=True,
        intra_op_threads=0,
    )

    assert expected == read_settings(PARAMETERS, Path("/repository/reference_lm/1"))


def test_the_model_folder_may_be_anywhere_when_its_path_is_absolute() -> None:
    """An absolute model_directory is taken as it is."""
    settings = read_settings({**PARAMETERS, "model_directory": "/models/router"}, Path("/repository/reference_lm/1"))

    assert Path("/models/router") == settings.model_directory


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("runtime", "tensorrt", "runtime is 'tensorrt': write onnxruntime-genai, tensorrt_llm, vllm"),
        ("model_directory", "", "model_directory is empty"),
        ("max_seq_len", "1", "max_seq_len is '1': write an integer of at least 2"),
        ("max_seq_len", "many", "max_seq_len is 'many'"),
        ("prefix_cache_entries", "0", "prefix_cache_entries is '0': write an integer of at least 1"),
        ("prefill_chunk_tokens", "-1", "prefill_chunk_tokens is '-1'"),
        ("intra_op_threads", "1.5", "intra_op_threads is '1.5'"),
        ("normalize_log_probs", "True", "normalize_log_probs is 'True': write true or false"),
    ],
)
def test_loading_is_refused_when_a_value_cannot_be_used(key: str, value: str, told: str) -> None:
    """The message names the parameter, its value and what to write."""
    with pytest.raises(SettingsError, match=told.replace("'", ".")):
        read_settings({**PARAMETERS, key: value}, Path())


def test_loading_is_refused_when_keys_are_missing_or_unknown() -> None:
    """A misspelt key can neither be ignored nor leave a parameter at a silent default."""
    parameters = {**PARAMETERS, "max_sequence_len": "4096"}
    del parameters["max_seq_len"]

    with pytest.raises(SettingsError, match=r"missing parameters \['max_seq_len'\].*\['max_sequence_len'\]"):
        read_settings(parameters, Path())
