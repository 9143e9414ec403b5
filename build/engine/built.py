"""A built engine: what its ``config.json`` says, and whether that is what was asked for."""

from pathlib import Path

from archrouter.bundles.engine_config import LOGITS_DTYPE, EngineConfig, read_engine_config
from archrouter.bundles.manifest import BundleError
from engine.errors import StepFailedError
from engine.geometry import Geometry
from engine.settings import EngineLimits

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "rank0.engine"
GPU_FILE = "gpu.json"


def read_engine(folder: Path) -> EngineConfig:
    """Read an engine's config.

    Args:
        folder: With ``config.json`` and ``rank0.engine``.

    Returns:
        What it says.

    Raises:
        StepFailedError: When a file or a key is missing, or the engine is empty.
    """
    engine = folder / WEIGHTS_FILE
    if not engine.is_file() or engine.stat().st_size == 0:
        msg = f"{engine} is missing or empty; compile again"
        raise StepFailedError(msg)
    try:
        return read_engine_config(folder / CONFIG_FILE)
    except BundleError as error:
        msg = f"{error}; compile again"
        raise StepFailedError(msg) from error


def check_engine(engine: EngineConfig, version: str, limits: EngineLimits, geometry: Geometry) -> None:
    """Compare an engine with what was asked for.

    Args:
        engine: What its config says.
        version: Of TensorRT-LLM.
        limits: Bounds asked for.
        geometry: Of the checkpoint.

    Raises:
        StepFailedError: Naming everything that differs.
    """
    build, model, plugins = engine.build_config, engine.pretrained_config, engine.build_config.plugin_config
    differences = [
        f"{what} is {found}, not {wanted}"
        for what, found, wanted in (
            ("version", engine.version.partition("+")[0].partition(".post")[0], version),
            ("pretrained_config.vocab_size", model.vocab_size, geometry.vocab_size),
            ("pretrained_config.logits_dtype", model.logits_dtype, LOGITS_DTYPE),
            ("build_config.gather_generation_logits", build.gather_generation_logits, True),
            ("build_config.max_batch_size", build.max_batch_size, limits.max_batch_size),
            ("build_config.max_num_tokens", build.max_num_tokens, limits.max_num_tokens),
            ("build_config.max_seq_len", build.max_seq_len, limits.max_seq_len),
            (
                "build_config.plugin_config.tokens_per_block",
                build.plugin_config.tokens_per_block,
                limits.tokens_per_block,
            ),
            ("build_config.plugin_config.use_paged_context_fmha", plugins.use_paged_context_fmha, True),
        )
        if found != wanted
    ]
    if differences:
        msg = f"the engine is not the one asked for: {'; '.join(differences)}; compile it from this checkpoint again"
        raise StepFailedError(msg)
