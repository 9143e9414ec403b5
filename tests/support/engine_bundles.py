"""Bundles of the tiny checkpoint, also of a TensorRT-LLM engine: its description is all the service reads of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archrouter.bundles.checkpoint import read_checkpoint
from archrouter.bundles.engine_config import ENGINE_CONFIG_FILE
from archrouter.bundles.manifest import MANIFEST_FILE, digest_of_file
from archrouter.bundles.writer import BundlePlan, write_manifest, write_prompt_files
from archrouter.domain.answer import AnswerSkeleton, Quoting
from archrouter.domain.dialect import Dialect

MAX_PROMPT_TOKEN_COUNT = 512
VOCAB_SIZE = 1024
"""More rows than the tiny tokenizer has ids, as Qwen2's padded vocabulary."""

SINGLE_QUOTES = AnswerSkeleton("{'route': ", "}", Quoting.PYTHON)
ENGINE: dict[str, Any] = {
    "tensorrt_llm_version": "1.2.1",
    "container_image": "nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3",
    "compute_capability": "9.0",
    "precision": "bf16",
    "max_batch_size": 64,
    "max_num_tokens": 8192,
    "max_seq_len": 1024,
    "vocab_size": VOCAB_SIZE,
}
BUILT: dict[str, Any] = {  # Any: JSON, as trtllm-build writes it, with keys of each part that are not checked
    "version": "1.2.1",
    "pretrained_config": {
        "architecture": "QWenForCausalLM",
        "dtype": "bfloat16",
        "logits_dtype": "float32",
        "vocab_size": VOCAB_SIZE,
        "num_hidden_layers": 28,
    },
    "build_config": {
        "max_input_len": 1000,
        "max_seq_len": 1024,
        "max_batch_size": 64,
        "max_num_tokens": 8192,
        "max_beam_width": 1,
        "kv_cache_type": "PAGED",
        "gather_context_logits": False,
        "gather_generation_logits": True,
        "plugin_config": {"dtype": "bfloat16", "use_paged_context_fmha": True, "tokens_per_block": 32},
    },
}


def write_bundle(
    directory: Path,
    checkpoint: Path,
    skeleton: AnswerSkeleton = AnswerSkeleton(),  # noqa: B008  # immutable
    *,
    max_prompt_token_count: int = MAX_PROMPT_TOKEN_COUNT,
) -> Path:
    """Write a bundle of the tiny checkpoint for the CPU, without running anything; the folder may exist."""
    directory.mkdir(exist_ok=True)
    files = read_checkpoint(checkpoint)
    plan = BundlePlan(files, files.prompt_template(), Dialect.CARD, max_prompt_token_count)
    write_prompt_files(directory, plan)
    write_manifest(directory, plan, skeleton, agreement=0.95, probe_count=20)
    return directory


def write_engine_bundle(directory: Path, checkpoint: Path) -> Path:
    """Write a bundle of the tiny checkpoint as if an engine had been built from it."""
    description = directory / ENGINE_CONFIG_FILE
    description.parent.mkdir(parents=True)
    description.write_text(json.dumps(BUILT), encoding="utf-8")
    write_bundle(directory, checkpoint)
    edit_json(directory / MANIFEST_FILE, lambda manifest: manifest.update(runtime="tensorrt_llm", engine=ENGINE))
    return directory


def change_engine(directory: Path, *path: str, value: object) -> None:
    """Set a value of the engine's description, and let the manifest vouch for the file again."""

    def change(description: dict[str, Any]) -> None:
        for key in path[:-1]:
            description = description[key]
        description[path[-1]] = value

    edit_json(directory / ENGINE_CONFIG_FILE, change)
    seal(directory, ENGINE_CONFIG_FILE)


def seal(directory: Path, name: str) -> None:
    """Write the present digest of a file into the manifest."""
    digest = digest_of_file(directory / name)
    edit_json(directory / MANIFEST_FILE, lambda manifest: manifest["files"].update({name: digest}))


def edit_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file in place."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
