"""The engine's own description, ``engine/config.json``, against what the bundle promises and the service relies on.

``trtllm-build`` writes the file beside the engine; nothing in it can be changed from Triton. An engine that was built
differently would fail single calls, or answer them wrongly, so it is refused before it serves.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from archrouter.bundles.manifest import ENGINE_FOLDER, BundleError, Engine, Manifest, check_files, problems_of
from archrouter.inference.tensors import TOKENS_PER_BLOCK

ENGINE_CONFIG_FILE = f"{ENGINE_FOLDER}/config.json"
LOGITS_DTYPE = "float32"

_BOUNDS = ("max_seq_len", "max_batch_size", "max_num_tokens")


def _from_word(value: object) -> object:
    """Read a switch that is written as on the command line of ``trtllm-build``."""
    return {"enable": True, "disable": False}.get(value, value) if isinstance(value, str) else value


Switch = Annotated[bool, BeforeValidator(_from_word)]


class _Part(BaseModel):
    """A part of the file: what is checked of it. The file has many more keys."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class PluginConfig(_Part):
    """What the plugins were built for."""

    use_paged_context_fmha: Switch
    tokens_per_block: int


class BuildConfig(_Part):
    """The bounds and outputs it was built with."""

    gather_generation_logits: Switch
    max_seq_len: int
    max_batch_size: int
    max_num_tokens: int
    plugin_config: PluginConfig


class PretrainedConfig(_Part):
    """What it was built from."""

    vocab_size: int
    logits_dtype: str


class EngineConfig(_Part):
    """An engine's ``config.json``: layout of TensorRT-LLM 1.x, ``tensorrt_llm/builder.py``."""

    version: str
    build_config: BuildConfig
    pretrained_config: PretrainedConfig


def check_engine(directory: Path, manifest: Manifest, *, tokenizer_vocab_size: int) -> None:
    """Check that the bundle's TensorRT engine is the one its manifest describes, and can serve it.

    Raises:
        BundleError: With every mismatch and its remedy, or when the description is missing, changed or malformed.
    """
    if manifest.engine is None:
        msg = f"the manifest of {directory} says runtime tensorrt_llm, but describes no engine; build the bundle again"
        raise BundleError(msg)
    check_files(directory, manifest, (ENGINE_CONFIG_FILE,))
    config = read_engine_config(directory / ENGINE_CONFIG_FILE)
    problems = [
        *_build_problems(config),
        *_manifest_problems(config, manifest.engine),
        *_limit_problems(config, manifest.limits.max_prompt_token_count, tokenizer_vocab_size),
    ]
    if problems:
        msg = f"the engine of {directory} ({ENGINE_CONFIG_FILE}) cannot serve: {'; '.join(problems)}"
        raise BundleError(msg)


def read_engine_config(path: Path) -> EngineConfig:
    """Read an engine's own description, ``config.json`` beside ``rank0.engine``; BundleError for a malformed one."""
    try:
        return EngineConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}); trtllm-build writes it beside the engine"
        raise BundleError(msg) from error
    except ValidationError as error:
        msg = f"{path} is not the description of a TensorRT-LLM engine: {problems_of(error)}"
        raise BundleError(msg) from error


def _build_problems(config: EngineConfig) -> Iterator[str]:
    """Find options without which the service cannot use any engine."""
    build, dtype = config.build_config, config.pretrained_config.logits_dtype
    if not build.gather_generation_logits:
        yield "it returns no generation logits; rebuild it with trtllm-build --gather_generation_logits"
    if not build.plugin_config.use_paged_context_fmha:
        yield "it cannot reuse KV blocks; rebuild it with trtllm-build --use_paged_context_fmha enable, without INT8 KV"
    if build.plugin_config.tokens_per_block != TOKENS_PER_BLOCK:
        found = build.plugin_config.tokens_per_block
        yield f"its KV blocks have {found} tokens; rebuild it with trtllm-build --tokens_per_block {TOKENS_PER_BLOCK}"
    if dtype != LOGITS_DTYPE:
        yield f"its logits are {dtype}; rebuild it with trtllm-build --logits_dtype {LOGITS_DTYPE}"


def _manifest_problems(config: EngineConfig, engine: Engine) -> Iterator[str]:
    """Find where the engine is another one than the manifest describes."""
    if config.version != engine.tensorrt_llm_version:
        yield (
            f"it was built by TensorRT-LLM {config.version}, the manifest says {engine.tensorrt_llm_version}; "
            f"rebuild it in {engine.container_image}"
        )
    if config.pretrained_config.vocab_size != engine.vocab_size:
        yield (
            f"its vocabulary has {config.pretrained_config.vocab_size} rows, the manifest says {engine.vocab_size}; "
            "assemble the bundle again from the checkpoint this engine was built from"
        )
    for name in _BOUNDS:
        built, promised = getattr(config.build_config, name), getattr(engine, name)
        if built < promised:
            yield f"its {name} is {built}, the manifest promises {promised}; rebuild it with trtllm-build --{name}"


def _limit_problems(config: EngineConfig, max_prompt_token_count: int, tokenizer_vocab_size: int) -> Iterator[str]:
    """Find what the service would send and the engine could not take."""
    if max_prompt_token_count >= config.build_config.max_seq_len:
        yield (
            f"its max_seq_len is {config.build_config.max_seq_len}, too short for a prompt of {max_prompt_token_count} "
            "tokens and one of answer; lower limits.max_prompt_token_count, or rebuild it with a larger --max_seq_len"
        )
    if tokenizer_vocab_size > config.pretrained_config.vocab_size:
        yield (
            f"the tokenizer has {tokenizer_vocab_size} ids, the engine a vocabulary of "
            f"{config.pretrained_config.vocab_size}; take tokenizer.json from the checkpoint this engine was built from"
        )
