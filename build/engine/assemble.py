"""Step assemble: the bundle with its final manifest, and the Triton model repository that serves it.

The manifest holds the form of the answer and its digest is ``model_version``, which Triton's config carries: so the
form must be known before anything is served. It is read from the step probe, which ran the same weights on the CPU;
assembling checks that they are the same, by digests.
"""

import errno
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archrouter.bundles.engine_config import EngineConfig
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.manifest import (
    ENGINE_FOLDER,
    PROMPT_TEMPLATE_FILE,
    TOKENIZER_FILE,
    Engine,
    check_files,
    digest_of,
    digest_of_file,
)
from archrouter.bundles.writer import BundlePlan, atomic_directory, write_manifest, write_prompt_files
from archrouter.domain.dialect import Dialect
from engine.built import CONFIG_FILE, GPU_FILE, WEIGHTS_FILE, check_engine, read_engine
from engine.errors import BadInputError, StepFailedError
from engine.geometry import CheckedCheckpoint, check_checkpoint
from engine.model_config import MODEL, render_model_config
from engine.precision import Precision
from engine.program import make_parser, run_program
from engine.settings import DEFAULT_FILE, DEFAULT_TOOLKIT, Settings, read_settings

BUNDLE_FOLDER = "bundle"
REPOSITORY_FOLDER = "model_repository"

_VERSION_FOLDER = "1"


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine's release is assembled from.

    Attributes:
        checkpoint: Hugging Face directory.
        probed: Output of the step probe.
        compiled: Output of the step compile.
        precision: Of the engine.
        version: Of TensorRT-LLM.
        model_repository: Folder with the checked-in config of ``tensorrt_llm``.
    """

    checkpoint: Path
    probed: Path
    compiled: Path
    precision: Precision
    version: str
    model_repository: Path


def assemble(parts: Parts, settings: Settings, output: Path) -> PromptBundle:
    """Assemble a release: whole, or not at all.

    Args:
        parts: What it is made from.
        settings: Pins and limits.
        output: Gets ``bundle/`` and ``model_repository/``; must not exist.

    Returns:
        The bundle.

    Raises:
        PipelineError: When parts do not belong together, or the disk is full.
        BundleError: When the probe's bundle cannot be used, or the output exists.
    """
    checked = check_checkpoint(parts.checkpoint)
    limits = settings.engine.capped(checked.geometry.max_positions)
    built = read_engine(parts.compiled / ENGINE_FOLDER)
    check_engine(built, parts.version, limits, checked.geometry)
    probed = _probed(parts.probed, checked)
    plan = BundlePlan(
        checkpoint=checked.files,
        prompt_template=(parts.probed / PROMPT_TEMPLATE_FILE).read_text("utf-8"),
        dialect=Dialect(probed.manifest.dialect),
        max_prompt_token_count=limits.max_prompt_tokens,
    )
    _require_space(parts.compiled, output)
    try:
        with atomic_directory(output) as scratch:
            bundle = _write_bundle(scratch / BUNDLE_FOLDER, parts, plan, probed, _engine(parts, settings, built))
            _write_repository(scratch / REPOSITORY_FOLDER, parts, settings, bundle)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            msg = f"no room to write {output} ({error.strerror}); free some and repeat. Nothing half-written is left"
            raise StepFailedError(msg) from error
        raise
    return load_bundle(output / BUNDLE_FOLDER)


def _probed(folder: Path, checked: CheckedCheckpoint) -> PromptBundle:
    """Load the probe's bundle and check that it ran these weights with this tokenizer."""
    probed = load_bundle(folder)
    pairs = (
        ("tokenizer", digest_of_file(folder / TOKENIZER_FILE), digest_of(checked.files.tokenizer)),
        ("weights", probed.manifest.checkpoint.digest, checked.files.weights_digest()),
    )
    for what, found, wanted in pairs:
        if found != wanted:
            msg = (
                f"{folder} was probed with the {what} {found}, {checked.files.directory} has {wanted}; "
                "probe this checkpoint"
            )
            raise BadInputError(msg)
    return probed


def _engine(parts: Parts, settings: Settings, built: EngineConfig) -> Engine:
    gpu = json.loads((parts.compiled / GPU_FILE).read_bytes())
    return Engine(
        tensorrt_llm_version=built.version,
        container_image=settings.toolkit(parts.version).image,
        compute_capability=gpu["compute_capability"],
        precision=parts.precision.value,
        max_batch_size=built.build_config.max_batch_size,
        max_num_tokens=built.build_config.max_num_tokens,
        max_seq_len=built.build_config.max_seq_len,
        vocab_size=built.pretrained_config.vocab_size,
    )


def _write_bundle(folder: Path, parts: Parts, plan: BundlePlan, probed: PromptBundle, engine: Engine) -> PromptBundle:
    folder.mkdir()
    write_prompt_files(folder, plan)
    (folder / ENGINE_FOLDER).mkdir()
    for name in (CONFIG_FILE, WEIGHTS_FILE):  # one by one: copytree hides why a file could not be written
        shutil.copyfile(parts.compiled / ENGINE_FOLDER / name, folder / ENGINE_FOLDER / name)
    skeleton = probed.manifest.skeleton
    write_manifest(
        folder,
        plan,
        probed.prompt_format.skeleton,
        agreement=skeleton.agreement,
        probe_count=skeleton.probe_count,
        engine=engine,
    )
    bundle = load_bundle(folder)
    check_files(folder, bundle.manifest)
    return bundle


def _write_repository(folder: Path, parts: Parts, settings: Settings, bundle: PromptBundle) -> None:
    """Put the checked-in config with this bundle's two values beside an empty version folder."""
    text = (parts.model_repository / MODEL / "config.pbtxt").read_text("utf-8")
    engine_directory = f"{settings.container.bundle_directory}/{ENGINE_FOLDER}"
    config = render_model_config(text, engine_directory, bundle.profile.model_version, settings.engine.max_batch_size)
    (folder / MODEL / _VERSION_FOLDER).mkdir(parents=True)
    (folder / MODEL / "config.pbtxt").write_text(config, "utf-8")


def _require_space(compiled: Path, output: Path) -> None:
    """Refuse before copying gigabytes that cannot fit."""
    needed = sum(path.stat().st_size for path in compiled.rglob("*") if path.is_file())
    existing = next(folder for folder in (output, *output.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        msg = f"{output} takes {needed:,} bytes, {free:,} are free there; free some and repeat"
        raise StepFailedError(msg)


def main(arguments: Sequence[str]) -> int:
    """Run the step.

    Args:
        arguments: Of the command line.

    Returns:
        Exit code.
    """
    parser = make_parser(
        "assemble",
        "Put engine, tokenizer, prompt and answer form into a bundle, and write the Triton model that serves it.",
        [
            (
                "--checkpoint Arch-Router-1.5B --probed out/engine/probe --compiled out/engine/compile "
                "--precision bf16 --output out/engine/assemble"
            )
        ],
    )
    parser.add_argument("--checkpoint", required=True, type=Path, help="Hugging Face directory")
    parser.add_argument("--probed", required=True, type=Path, help="output of the step probe")
    parser.add_argument("--compiled", required=True, type=Path, help="output of the step compile")
    parser.add_argument("--precision", required=True, choices=[p.value for p in Precision])
    parser.add_argument("--output", required=True, type=Path, help="folder to make; must not exist")
    parser.add_argument("--model-repository", type=Path, default=Path("model_repository"), help="checked-in models")
    parser.add_argument("--settings", type=Path, default=DEFAULT_FILE, help="pins and limits (build/pipeline.toml)")
    parser.add_argument("--toolkit", default=DEFAULT_TOOLKIT, help="version of TensorRT-LLM (default: %(default)s)")
    options = parser.parse_args(arguments)

    def work() -> None:
        parts = Parts(
            options.checkpoint,
            options.probed,
            options.compiled,
            Precision(options.precision),
            options.toolkit,
            options.model_repository,
        )
        bundle = assemble(parts, read_settings(options.settings), options.output)
        print(f"{options.output} is ready: {bundle.profile.model_version}")

    return run_program("assemble", work)
