"""Bundles of the tiny checkpoint, written without running anything."""

import json
from pathlib import Path

from tests.support.engine_bundles import BUILT

from archrouter.bundles.checkpoint import read_checkpoint
from archrouter.bundles.engine_config import ENGINE_CONFIG_FILE
from archrouter.bundles.manifest import Engine
from archrouter.bundles.writer import BundlePlan, write_manifest, write_prompt_files
from archrouter.domain.answer import AnswerSkeleton, Quoting
from archrouter.domain.dialect import Dialect

SKELETON = AnswerSkeleton("{'route': ", "}", Quoting.PYTHON)
ENGINE = Engine(
    tensorrt_llm_version="1.2.1",
    container_image="nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3",
    compute_capability="8.9",
    precision="bf16",
    max_batch_size=64,
    max_num_tokens=8192,
    max_seq_len=1024,
    vocab_size=1024,
)


def write_bundle(folder: Path, checkpoint: Path, engine: Engine | None = None) -> Path:
    """Write a bundle whose weights answer with single quotes.

    Args:
        folder: Where; may exist.
        checkpoint: The tiny checkpoint.
        engine: What its manifest says of an engine; None for a bundle of the CPU.

    Returns:
        The folder.
    """
    folder.mkdir(exist_ok=True)
    files = read_checkpoint(checkpoint)
    plan = BundlePlan(files, files.prompt_template(), Dialect.CARD, max_prompt_token_count=1023)
    write_prompt_files(folder, plan)
    if engine is not None:
        description = folder / ENGINE_CONFIG_FILE
        description.parent.mkdir()
        description.write_text(json.dumps(BUILT), encoding="utf-8")
    write_manifest(folder, plan, SKELETON, agreement=0.95, probe_count=20, engine=engine)
    return folder
