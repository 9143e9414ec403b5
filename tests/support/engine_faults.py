"""What can be wrong with a language-model deployment: a row for each fault of bundle or Triton."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
from tests.support.engine_bundles import VOCAB_SIZE, change_engine, edit_json, seal
from tests.support.engine_triton import EngineTriton
from tritonclient.grpc.model_config_pb2 import TYPE_FP16

from archrouter.bundles.loader import load_bundle
from archrouter.bundles.manifest import BundleError
from archrouter.domain.errors import BackendProtocolError
from archrouter.inference.language_model import LanguageModelBackend
from archrouter.inference.triton_client import TritonClient

TIMEOUT_S = 10.0
LOGITS_REFUSAL = "To return generation logits, gather_generation_logits must be enabled in ExecutorConfig"


@dataclass(frozen=True)
class Deployment:
    """A bundle on disk and the Triton that is said to serve it."""

    directory: Path
    triton: EngineTriton

    async def start(self) -> None:
        """Do what the service does before it serves."""
        connection = TritonClient(self.triton.endpoint, max_concurrent_requests=1)
        try:
            await LanguageModelBackend(connection, "tensorrt_llm", load_bundle(self.directory)).warm_up(
                timeout_s=TIMEOUT_S
            )
        finally:
            await connection.close()


def manifest_engine(key: str, value: object) -> Callable[[Deployment], None]:
    """Let the manifest describe another engine."""
    return lambda it: edit_json(
        it.directory / "manifest.json", lambda manifest: manifest["engine"].update({key: value})
    )


def built(*path: str, value: object) -> Callable[[Deployment], None]:
    """Let the engine be built otherwise."""
    return lambda it: change_engine(it.directory, *path, value=value)


def served(change: Callable[[EngineTriton], object]) -> Callable[[Deployment], object]:
    """Let Triton serve something else."""
    return lambda it: change(it.triton)


def add_token_beyond_the_vocabulary(it: Deployment) -> None:
    """Give the tokenizer more ids than the engine has rows."""

    def add(tokenizer: dict[str, dict[str, dict[str, int]]]) -> None:
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary.update({f"word{index}": index for index in range(max(vocabulary.values()) + 50, VOCAB_SIZE + 200)})

    edit_json(it.directory / "tokenizer.json", add)
    seal(it.directory, "tokenizer.json")


def require_unsent_input(triton: EngineTriton) -> None:
    """Make an input required that the service does not send."""
    next(tensor for tensor in triton.config.input if tensor.name == "seed").optional = False


def set_tensor(triton: EngineTriton, name: str, **values: int) -> None:
    """Declare a tensor with other values."""
    for tensor in (*triton.config.input, *triton.config.output):
        if tensor.name == name:
            for key, value in values.items():
                setattr(tensor, key, value)


def remove_input(triton: EngineTriton, name: str) -> None:
    """Leave an input out."""
    kept = [tensor for tensor in triton.config.input if tensor.name != name]
    del triton.config.input[:]
    triton.config.input.extend(kept)


def remove_parameter(key: str) -> Callable[[Deployment], object]:
    """Leave a key out of config.pbtxt."""
    return served(lambda triton: triton.config.parameters.pop(key))


def set_parameter(key: str, value: str) -> Callable[[Deployment], object]:
    """Give a key of config.pbtxt another value."""
    return served(lambda triton: setattr(triton.config.parameters[key], "string_value", value))


FAULTS: dict[str, tuple[Callable[[Deployment], object], type[Exception], str]] = {
    # What the bundle says is enough: the service does not start.
    "vocabulary of another checkpoint": (
        built("pretrained_config", "vocab_size", value=151_936),
        BundleError,
        r"its vocabulary has 151936 rows, the manifest says 1024; assemble the bundle again",
    ),
    "tokenizer of another checkpoint": (
        add_token_beyond_the_vocabulary,
        BundleError,
        r"the tokenizer has \d+ ids, the engine a vocabulary of 1024; take tokenizer\.json from the checkpoint",
    ),
    "tokenizer exchanged after the build": (
        lambda it: (it.directory / "tokenizer.json").write_text("{}"),
        BundleError,
        r"tokenizer\.json has digest .*, manifest\.json says .*; it was changed or cut short",
    ),
    "engine without the logits flag": (
        built("build_config", "gather_generation_logits", value=False),
        BundleError,
        r"no generation logits; rebuild it with trtllm-build --gather_generation_logits",
    ),
    "engine without paged context FMHA": (
        built("build_config", "plugin_config", "use_paged_context_fmha", value=False),
        BundleError,
        r"cannot reuse KV blocks; rebuild it with trtllm-build --use_paged_context_fmha enable",
    ),
    "engine with larger KV blocks": (
        built("build_config", "plugin_config", "tokens_per_block", value=64),
        BundleError,
        r"KV blocks have 64 tokens; rebuild it with trtllm-build --tokens_per_block 32",
    ),
    "half-precision logits": (
        built("pretrained_config", "logits_dtype", value="float16"),
        BundleError,
        r"its logits are float16; rebuild it with trtllm-build --logits_dtype float32",
    ),
    "another TensorRT-LLM": (
        built("version", value="1.0.0"),
        BundleError,
        r"built by TensorRT-LLM 1\.0\.0, the manifest says 1\.2\.1; rebuild it in nvcr\.io/.*26\.07",
    ),
    "shorter sequences than promised": (
        built("build_config", "max_seq_len", value=900),
        BundleError,
        r"its max_seq_len is 900, the manifest promises 1024; rebuild it with trtllm-build --max_seq_len",
    ),
    "smaller batches than promised": (
        built("build_config", "max_batch_size", value=8),
        BundleError,
        r"its max_batch_size is 8, the manifest promises 64; rebuild it with trtllm-build --max_batch_size",
    ),
    "fewer tokens a step than promised": (
        built("build_config", "max_num_tokens", value=2048),
        BundleError,
        r"its max_num_tokens is 2048, the manifest promises 8192; rebuild it with trtllm-build --max_num_tokens",
    ),
    "no room for the longest prompt": (
        lambda it: (
            built("build_config", "max_seq_len", value=512)(it),
            manifest_engine("max_seq_len", 512)(it),
        ),
        BundleError,
        r"its max_seq_len is 512, too short for a prompt of 512 tokens and one of answer; lower limits",
    ),
    "no description of the engine": (
        lambda it: (it.directory / "engine" / "config.json").unlink(),
        BundleError,
        r"engine/config\.json is missing",
    ),
    "description of something else": (
        built("build_config", value=None),
        BundleError,
        r"config\.json is not the description of a TensorRT-LLM engine: build_config: ",
    ),
    "manifest without an engine": (
        lambda it: edit_json(it.directory / "manifest.json", lambda manifest: manifest.pop("engine")),
        BundleError,
        r"says runtime tensorrt_llm, but describes no engine; build the bundle again",
    ),
    # What Triton says: the service runs, and its health stays NOT_SERVING with this reason in the log.
    "model_version of another bundle": (
        set_parameter("model_version", "sha256:" + "f" * 64),
        BackendProtocolError,
        (
            r"it serves sha256:f+, the bundle is sha256:\w+; "
            r"deploy the TensorRT engine and the bundle that were built together"
        ),
    ),
    "no model_version": (
        remove_parameter("model_version"),
        BackendProtocolError,
        r"it serves no model_version, the bundle is",
    ),
    **{
        f"config.pbtxt without {key}": (
            remove_parameter(key),
            BackendProtocolError,
            rf"parameter '{key}' is missing in its config\.pbtxt; take the file of model_repository/tensorrt_llm",
        )
        for key in ("tokenizer_dir", "guided_decoding_backend", "xgrammar_tokenizer_info_path", "normalize_log_probs")
    },
    "normalised log-probabilities": (
        set_parameter("normalize_log_probs", "true"),
        BackendProtocolError,
        r"'normalize_log_probs' is not false; set it to false",
    ),
    "larger batches than the engine's": (
        served(lambda triton: setattr(triton.config, "max_batch_size", 128)),
        BackendProtocolError,
        r"its max_batch_size is 128, the TensorRT engine was built for 64; lower it",
    ),
    "decoupled model": (
        served(lambda triton: setattr(triton.config.model_transaction_policy, "decoupled", True)),
        BackendProtocolError,
        r"it is decoupled and refuses unary calls; set decoupled: false",
    ),
    "tensor missing": (
        served(lambda triton: remove_input(triton, "return_perf_metrics")),
        BackendProtocolError,
        r"input 'return_perf_metrics' is missing, the contract says BOOL \[1\] reshaped to \[\]",
    ),
    "tensor of another type": (
        served(lambda triton: set_tensor(triton, "generation_logits", data_type=TYPE_FP16)),
        BackendProtocolError,
        r"output 'generation_logits' is FP16 \[-1, -1, -1\], the contract says FP32 \[-1, -1, -1\]",
    ),
    "scalar without its reshape": (
        served(lambda triton: next(t for t in triton.config.input if t.name == "end_id").ClearField("reshape")),
        BackendProtocolError,
        r"input 'end_id' is INT32 \[1\], the contract says INT32 \[1\] reshaped to \[\]",
    ),
    "input required that is never sent": (
        served(require_unsent_input),
        BackendProtocolError,
        r"input 'seed' is required, but never sent; mark it optional",
    ),
    "rows of another vocabulary": (
        served(lambda triton: setattr(triton, "vocab_size", 1088)),
        BackendProtocolError,
        (
            r"a row of logits has 1088 values, the bundle's TensorRT engine a vocabulary of 1024; "
            r"deploy the TensorRT engine and the bundle"
        ),
    ),
    "logits refused by the executor": (
        served(lambda triton: setattr(triton, "refusal", (grpc.StatusCode.INTERNAL, LOGITS_REFUSAL))),
        BackendProtocolError,
        r"returns no generation logits; rebuild its TensorRT engine with --gather_generation_logits",
    ),
}
