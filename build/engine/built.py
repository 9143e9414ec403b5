"""A built engine: what its ``config.json`` says, and whether that is what was asked for.

Layout: TensorRT-LLM 1.x, ``tensorrt_llm/builder.py``: ``version``, ``pretrained_config``, ``build_config``.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import StepFailedError
from engine.geometry import Geometry
from engine.settings import EngineLimits

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "rank0.engine"
GPU_FILE = "gpu.json"

_ON = (True, "enable")


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """What an engine's ``config.json`` says.

    Attributes:
        version: Of the TensorRT-LLM that built it.
        vocab_size: Rows of logits.
        logits_dtype: Their type.
        max_batch_size: Requests of one step.
        max_num_tokens: Tokens of one step.
        max_seq_len: Prompt and answer, in tokens.
        tokens_per_block: Of the KV cache.
        gathers_logits: Whether ``generation_logits`` can be asked for.
        has_paged_context: Whether KV blocks can be reused.
    """

    version: str
    vocab_size: int
    logits_dtype: str
    max_batch_size: int
    max_num_tokens: int
    max_seq_len: int
    tokens_per_block: int
    gathers_logits: bool
    has_paged_context: bool


def read_engine(folder: Path) -> BuiltEngine:
    """Read an engine's config.

    Args:
        folder: With ``config.json`` and ``rank0.engine``.

    Returns:
        What it says.

    Raises:
        StepFailedError: When a file or a key is missing, or the engine is empty.
    """
    path = folder / CONFIG_FILE
    engine = folder / WEIGHTS_FILE
    if not engine.is_file() or engine.stat().st_size == 0:
        msg = f"{engine} is missing or empty; compile again"
        raise StepFailedError(msg)
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())  # Any: read key by key below
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}; compile again"
        raise StepFailedError(msg) from error
    try:
        build, plugins = config["build_config"], config["build_config"]["plugin_config"]
        return BuiltEngine(
            version=str(config["version"]),
            vocab_size=int(config["pretrained_config"]["vocab_size"]),
            logits_dtype=str(config["pretrained_config"]["logits_dtype"]),
            max_batch_size=int(build["max_batch_size"]),
            max_num_tokens=int(build["max_num_tokens"]),
            max_seq_len=int(build["max_seq_len"]),
            tokens_per_block=int(plugins["tokens_per_block"]),
            gathers_logits=build["gather_generation_logits"] in _ON,
            has_paged_context=plugins["use_paged_context_fmha"] in _ON,
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{path} lacks or garbles {error}; it is not of the layout TensorRT-LLM 1.2.1 writes"
        raise StepFailedError(msg) from error


def check_engine(engine: BuiltEngine, version: str, limits: EngineLimits, geometry: Geometry) -> None:
    """Compare an engine with what was asked for.

    Args:
        engine: What its config says.
        version: Of TensorRT-LLM.
        limits: Bounds asked for.
        geometry: Of the checkpoint.

    Raises:
        StepFailedError: Naming everything that differs.
    """
    differences = [
        f"{what} is {found}, not {wanted}"
        for what, found, wanted in (
            ("version", engine.version.partition("+")[0].partition(".post")[0], version),
            ("pretrained_config.vocab_size", engine.vocab_size, geometry.vocab_size),
            ("pretrained_config.logits_dtype", engine.logits_dtype, "float32"),
            ("build_config.gather_generation_logits", engine.gathers_logits, True),
            ("build_config.max_batch_size", engine.max_batch_size, limits.max_batch_size),
            ("build_config.max_num_tokens", engine.max_num_tokens, limits.max_num_tokens),
            ("build_config.max_seq_len", engine.max_seq_len, limits.max_seq_len),
            ("build_config.plugin_config.tokens_per_block", engine.tokens_per_block, limits.tokens_per_block),
            ("build_config.plugin_config.use_paged_context_fmha", engine.has_paged_context, True),
        )
        if found != wanted
    ]
    if differences:
        msg = f"the engine is not the one asked for: {'; '.join(differences)}; compile it from this checkpoint again"
        raise StepFailedError(msg)
