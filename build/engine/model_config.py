"""The Triton config of an engine: the checked-in one with the two values that belong to a bundle."""

import re

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from archrouter.inference.tensors import PARAMETER_MODEL_VERSION
from engine.errors import BadInputError

MODEL = "tensorrt_llm"
PARAMETER_ENGINE_DIRECTORY = "gpt_model_path"


def render_model_config(text: str, engine_directory: str, model_version: str, max_batch_size: int) -> str:
    """Fill in what belongs to a bundle; every comment stays.

    Args:
        text: The checked-in ``config.pbtxt``.
        engine_directory: Where the serving container sees the engine.
        model_version: Digest of the bundle's manifest.
        max_batch_size: Of the engine.

    Returns:
        The text to deploy.

    Raises:
        BadInputError: When the file is no model config, lacks a parameter, or asks for a larger batch than the engine
            takes.
    """
    values = {PARAMETER_ENGINE_DIRECTORY: engine_directory, PARAMETER_MODEL_VERSION: model_version}
    for key, value in values.items():
        text = re.sub(rf'(key: "{key}" value: {{ string_value: ")[^"]*"', rf'\g<1>{value}"', text)
    try:
        config = text_format.Parse(text, ModelConfig())
    except text_format.ParseError as error:
        msg = f"config.pbtxt of {MODEL} is no model config: {error}"
        raise BadInputError(msg) from error
    for key, value in values.items():
        if config.parameters[key].string_value != value:
            msg = f'config.pbtxt of {MODEL} has no line: parameters {{ key: "{key}" value: {{ string_value: "" }} }}'
            raise BadInputError(msg)
    if config.max_batch_size > max_batch_size:
        msg = (
            f"config.pbtxt of {MODEL} has max_batch_size {config.max_batch_size}, the engine takes {max_batch_size}; "
            "lower it, or build with a larger engine.max_batch_size"
        )
        raise BadInputError(msg)
    return text
