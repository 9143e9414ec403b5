"""Writes a prompt bundle from a checkpoint: whole, or not at all."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from archrouter.bundles.checkpoint import CheckpointFiles
from archrouter.bundles.manifest import (
    CHAT_TEMPLATE_FILE,
    MANIFEST_FILE,
    PROMPT_TEMPLATE_FILE,
    TOKENIZER_FILE,
    BundleError,
    Checkpoint,
    Engine,
    Limits,
    Manifest,
    Skeleton,
    digest_of_file,
)
from archrouter.domain.answer import AnswerSkeleton
from archrouter.domain.dialect import Dialect

BUILDER_MODULE = "onnxruntime_genai.models.builder"


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """What a bundle is to hold.

    Attributes:
        checkpoint: The weights' directory.
        prompt_template: The prompt the weights were trained with.
        dialect: The JSON they were trained to read.
        max_prompt_token_count: Tokens the model shall read at most.
    """

    checkpoint: CheckpointFiles
    prompt_template: str
    dialect: Dialect
    max_prompt_token_count: int


@contextmanager
def atomic_directory(target: Path) -> Iterator[Path]:
    """Give an empty folder beside the target, which becomes it when the block ends well, else vanishes."""
    if target.exists():
        msg = f"{target} exists already; remove it or name another output"
        raise BundleError(msg)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def convert_for_cpu(checkpoint: Path, output: Path, *, precision: str) -> None:
    """Convert weights with the model builder of ONNX Runtime GenAI, without network use, to ``fp32`` or ``int4``.

    The output gets ``model.onnx`` and ``genai_config.json``; a BundleError carries the end of what the builder wrote.
    """
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", BUILDER_MODULE, "-i", str(checkpoint), "-o", str(output)]
        result = subprocess.run(
            [*command, "-p", precision, "-e", "cpu", "-c", cache],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    if result.returncode:
        msg = (
            f"{BUILDER_MODULE} failed with exit code {result.returncode}; it needs the extra archrouter[build]. "
            f"Its output ends with:\n{result.stdout[-2000:]}"
        )
        raise BundleError(msg)


def write_prompt_files(directory: Path, plan: BundlePlan) -> None:
    """Write everything of a bundle but the model and the manifest."""
    (directory / TOKENIZER_FILE).write_bytes(plan.checkpoint.tokenizer)
    (directory / CHAT_TEMPLATE_FILE).write_text(plan.checkpoint.chat_template, "utf-8")
    (directory / PROMPT_TEMPLATE_FILE).write_text(plan.prompt_template, "utf-8")


def write_manifest(
    directory: Path,
    plan: BundlePlan,
    skeleton: AnswerSkeleton,
    *,
    agreement: float,
    probe_count: int,
    engine: Engine | None = None,
) -> None:
    """Write the manifest over everything that is in the bundle now. O(bytes).

    `agreement` is the share in [0, 1] of the `probe_count` probes that had the form of the skeleton; no probe means
    that it was taken as given. `engine` is None for a model that the CPU runs.
    """
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)
    manifest = Manifest(
        format=1,
        checkpoint=Checkpoint(
            name=plan.checkpoint.name, license=plan.checkpoint.license, digest=plan.checkpoint.weights_digest()
        ),
        runtime="cpu" if engine is None else "tensorrt_llm",
        dialect=plan.dialect.value,
        end_token=plan.checkpoint.end_token,
        pad_token=plan.checkpoint.pad_token,
        special_tokens=plan.checkpoint.special_tokens,
        skeleton=Skeleton(
            prefix=skeleton.prefix,
            suffix=skeleton.suffix,
            quoting=skeleton.quoting.value,
            is_list=skeleton.is_list,
            probe_count=probe_count,
            agreement=agreement,
        ),
        limits=Limits(
            max_prompt_token_count=plan.max_prompt_token_count,
            max_message_count=plan.checkpoint.family.max_message_count,
        ),
        engine=engine,
        files={str(path.relative_to(directory)): digest_of_file(path) for path in files},
    )
    (directory / MANIFEST_FILE).write_bytes(manifest.serialized())
