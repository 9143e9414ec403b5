"""Triton's description of a model, `ModelConfig`, against what the service sends, reads and believes of it."""

from collections.abc import Iterable, Iterator
from typing import Any

from tritonclient.grpc.model_config_pb2 import DataType

from archrouter.domain.errors import BackendProtocolError
from archrouter.inference import tensors
from archrouter.inference.bundle import Bundle
from archrouter.inference.tensors import ModelTensors, Tensor

ENGINE_BACKEND = "tensorrtllm"
"""TensorRT-LLM's C++ backend."""

REQUIRED_ENGINE_PARAMETERS = (
    *("tokenizer_dir", "guided_decoding_backend", "xgrammar_tokenizer_info_path"),  # read without a fallback
    "normalize_log_probs",  # true where it is not set
)
_FALSE = frozenset({"False", "false", "FALSE", "0"})
"""What the backend reads as false; anything else is its default, which it only warns of."""

# config.pbtxt's names differ from the KServe v2 protocol's in their prefix and in the word for bytes.
_DATATYPES = {
    number: "BYTES" if name == "TYPE_STRING" else name.removeprefix("TYPE_") for name, number in DataType.items()
}

# Any: `tritonclient` ships no types; these are its `ModelConfig`, `ModelInput` and `ModelOutput` messages.


def check_model(config: Any, contract: ModelTensors) -> None:  # noqa: ANN401  # protobuf
    """Check that a `ModelConfig` has the tensors of a contract, and answers unary calls; tell every mismatch."""
    _refuse(config, _contract_problems(config, contract))


def check_language_model(config: Any, bundle: Bundle) -> None:  # noqa: ANN401  # protobuf
    """Check that a `ModelConfig` serves the weights of a bundle, by the contract of the language model."""
    problems = [*_version_problems(config, bundle), *_contract_problems(config, tensors.LANGUAGE_MODEL)]
    if config.backend == ENGINE_BACKEND:
        problems.extend(_engine_problems(config, bundle))
    _refuse(config, problems)


def _refuse(config: Any, problems: Iterable[str]) -> None:  # noqa: ANN401  # protobuf
    text = "; ".join(problems)
    if text:
        msg = f"model {config.name!r} cannot be used: {text}"
        raise BackendProtocolError(msg)


def _version_problems(config: Any, bundle: Bundle) -> Iterator[str]:  # noqa: ANN401  # protobuf
    served = config.parameters[tensors.PARAMETER_MODEL_VERSION].string_value if _has(config, "model_version") else ""
    expected = bundle.profile.model_version
    if served != expected:
        yield (
            f"it serves {served or 'no model_version'}, the bundle is {expected}; "
            "deploy the TensorRT engine and the bundle that were built together"
        )


def _contract_problems(config: Any, contract: ModelTensors) -> Iterator[str]:  # noqa: ANN401  # protobuf
    if config.model_transaction_policy.decoupled:
        yield "it is decoupled and refuses unary calls; set decoupled: false in model_transaction_policy"
    yield from _tensor_problems("input", config.input, contract.inputs)
    yield from _tensor_problems("output", config.output, contract.outputs)
    sent = {tensor.name for tensor in contract.inputs}
    for declared in config.input:
        if not declared.optional and declared.name not in sent:
            yield f"input {declared.name!r} is required, but never sent; mark it optional in config.pbtxt"


def _tensor_problems(kind: str, declared: Any, expected: tuple[Tensor, ...]) -> Iterator[str]:  # noqa: ANN401  # protobuf
    found = {tensor.name: tensor for tensor in declared}
    for tensor in expected:
        if tensor.name not in found:
            yield f"{kind} {tensor.name!r} is missing, the contract says {_described(tensor)}"
            continue
        message = found[tensor.name]
        datatype = _DATATYPES.get(message.data_type, "?")
        as_found = Tensor(tensor.name, datatype, tuple(message.dims), is_scalar=message.HasField("reshape"))
        if as_found != tensor:
            yield f"{kind} {tensor.name!r} is {_described(as_found)}, the contract says {_described(tensor)}"


def _described(tensor: Tensor) -> str:
    return f"{tensor.datatype} {list(tensor.dims)}{' reshaped to []' if tensor.is_scalar else ''}"


def _engine_problems(config: Any, bundle: Bundle) -> Iterator[str]:  # noqa: ANN401  # protobuf
    for key in REQUIRED_ENGINE_PARAMETERS:
        if not _has(config, key):
            yield f"parameter {key!r} is missing in its config.pbtxt; take the file of model_repository/tensorrt_llm"
    if _has(config, "normalize_log_probs") and config.parameters["normalize_log_probs"].string_value not in _FALSE:
        yield "parameter 'normalize_log_probs' is not false; set it to false in its config.pbtxt"
    engine = bundle.engine
    if engine is None:
        yield "it is a TensorRT-LLM engine, the bundle is for the CPU; set the bundle that this engine was built with"
    elif config.max_batch_size > engine.max_batch_size:
        yield (
            f"its max_batch_size is {config.max_batch_size}, the TensorRT engine was built for "
            f"{engine.max_batch_size}; lower it in its config.pbtxt"
        )


def _has(config: Any, key: str) -> bool:  # noqa: ANN401  # protobuf
    return key in config.parameters
