"""The parameters of config.pbtxt, read strictly: a value that cannot be used stops the model from loading."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lm_backend.errors import SettingsError

_BOOLEANS = {"true": True, "false": False}

RUNTIMES = ("onnxruntime-genai", "tensorrt_llm", "vllm")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the model is told in config.pbtxt.

    Attributes:
        runtime: The library that runs the model, one of ``RUNTIMES``.
        model_directory: An export of the ONNX Runtime GenAI model builder; for the other two a Hugging Face checkpoint.
        model_version: Digest of the bundle the weights belong to, or empty; clients read it.
        max_seq_len: Prompt and answer together, in tokens, at least 2; the model's context length caps it.
        gather_generation_logits: Whether ``return_generation_logits`` is served.
        enable_kv_cache_reuse: Whether KV states outlive their call.
        prefix_cache_entries: KV states kept, at least 1; ONNX Runtime GenAI only, like the two below.
        prefill_chunk_tokens: Prompt tokens between two looks at the call's cancellation, at least 1.
        normalize_log_probs: Whether ``output_log_probs`` are normalised inside the top 1, that is, all 0.
        exclude_input_in_output: Whether ``output_ids`` leaves the prompt out where the call does not say.
        intra_op_threads: Threads of ONNX Runtime; 0 leaves the choice to it.
    """

    runtime: str
    model_directory: Path
    model_version: str
    max_seq_len: int
    gather_generation_logits: bool
    enable_kv_cache_reuse: bool
    prefix_cache_entries: int
    prefill_chunk_tokens: int
    normalize_log_probs: bool
    exclude_input_in_output: bool
    intra_op_threads: int


def read_settings(parameters: Mapping[str, str], version_directory: Path) -> Settings:
    """Read the parameters.

    Args:
        parameters: Key to ``string_value``, exactly the fields of ``Settings``.
        version_directory: The folder a relative ``model_directory`` starts at.

    Returns:
        The settings.

    Raises:
        SettingsError: A key is missing or unknown, or its value is not of its type or range.
    """
    known = set(Settings.__dataclass_fields__)
    missing, unknown = sorted(known - set(parameters)), sorted(set(parameters) - known)
    if missing or unknown:
        message = f"config.pbtxt of reference_lm: missing parameters {missing}, unknown parameters {unknown}"
        raise SettingsError(message)
    if not parameters["model_directory"]:
        message = "parameter model_directory is empty: name the folder that holds the model"
        raise SettingsError(message)
    if parameters["runtime"] not in RUNTIMES:
        message = f"parameter runtime is {parameters['runtime']!r}: write {', '.join(RUNTIMES)}"
        raise SettingsError(message)
    return Settings(
        runtime=parameters["runtime"],
        model_directory=version_directory / parameters["model_directory"],
        model_version=parameters["model_version"],
        max_seq_len=_integer(parameters, "max_seq_len", minimum=2),
        gather_generation_logits=_boolean(parameters, "gather_generation_logits"),
        enable_kv_cache_reuse=_boolean(parameters, "enable_kv_cache_reuse"),
        prefix_cache_entries=_integer(parameters, "prefix_cache_entries", minimum=1),
        prefill_chunk_tokens=_integer(parameters, "prefill_chunk_tokens", minimum=1),
        normalize_log_probs=_boolean(parameters, "normalize_log_probs"),
        exclude_input_in_output=_boolean(parameters, "exclude_input_in_output"),
        intra_op_threads=_integer(parameters, "intra_op_threads", minimum=0),
    )


def _boolean(parameters: Mapping[str, str], key: str) -> bool:
    """Read ``true`` or ``false``; the C++ backend quietly takes its default for anything else, this model does not."""
    value = parameters[key]
    if value not in _BOOLEANS:
        message = f"parameter {key} is {value!r}: write true or false"
        raise SettingsError(message)
    return _BOOLEANS[value]


def _integer(parameters: Mapping[str, str], key: str, *, minimum: int) -> int:
    """Read a decimal integer of at least ``minimum``."""
    value = parameters[key]
    if not value.isascii() or not value.isdigit() or int(value) < minimum:
        message = f"parameter {key} is {value!r}: write an integer of at least {minimum}"
        raise SettingsError(message)
    return int(value)
