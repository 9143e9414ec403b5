"""Command assemble: the bundle with its final manifest, and the Triton model repository that serves it.

The manifest holds the form of the answer and its digest is ``model_version``, which Triton's config carries: so the
form must be known before anything is served. It is read from the step probe, which ran the same weights on the CPU;
assembling checks that they are the same, by digests.
"""

import errno
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from archrouter.bundles.engine_config import LOGITS_DTYPE, EngineConfig, read_engine_config
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.manifest import (
    ENGINE_FOLDER,
    PROMPT_TEMPLATE_FILE,
    TOKENIZER_FILE,
    BundleError,
    Engine,
    check_files,
    digest_of,
    digest_of_file,
)
from archrouter.bundles.writer import BundlePlan, atomic_directory, write_manifest, write_prompt_files
from archrouter.domain.dialect import Dialect
from archrouter.inference.tensors import PARAMETER_MODEL_VERSION
from engine.checkpoint import CheckedCheckpoint, Geometry, check_checkpoint
from engine.host import Gpu
from engine.program import BadInputError, StepFailedError, make_parser, run_program
from engine.settings import DEFAULT_FILE, DEFAULT_TOOLKIT, EngineLimits, Precision, Settings, read_settings

MODEL = "tensorrt_llm"
CONFIG_FILE, ENGINE_FILE, GPU_FILE = "config.json", "rank0.engine", "gpu.csv"
BUNDLE_FOLDER, REPOSITORY_FOLDER = "bundle", "model_repository"

_PARAMETER_ENGINE_DIRECTORY = "gpt_model_path"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a release is assembled from."""

    checkpoint: Path
    probed: Path
    compiled: Path
    precision: Precision
    version: str
    model_repository: Path


def assemble(parts: Parts, settings: Settings, output: Path) -> PromptBundle:
    """Assemble a release: whole, or not at all."""
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


def read_engine(folder: Path) -> EngineConfig:
    """Read a TensorRT engine's ``config.json``."""
    engine = folder / ENGINE_FILE
    if not engine.is_file() or engine.stat().st_size == 0:
        msg = f"{engine} is missing or empty; compile again"
        raise StepFailedError(msg)
    try:
        return read_engine_config(folder / CONFIG_FILE)
    except BundleError as error:
        msg = f"{error}; compile again"
        raise StepFailedError(msg) from error


def check_engine(engine: EngineConfig, version: str, limits: EngineLimits, geometry: Geometry) -> None:
    """Compare a TensorRT engine with what was asked for."""
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
            ("build_config.plugin_config.tokens_per_block", plugins.tokens_per_block, limits.tokens_per_block),
            ("build_config.plugin_config.use_paged_context_fmha", plugins.use_paged_context_fmha, True),
        )
        if found != wanted
    ]
    if differences:
        msg = f"the engine is not the one asked for: {'; '.join(differences)}; compile it from this checkpoint again"
        raise StepFailedError(msg)


def render_model_config(text: str, engine_directory: str, model_version: str, max_batch_size: int) -> str:
    """Fill in what belongs to a bundle; every comment stays."""
    values = {_PARAMETER_ENGINE_DIRECTORY: engine_directory, PARAMETER_MODEL_VERSION: model_version}
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
    path = parts.compiled / GPU_FILE
    gpu = Gpu.parse(path.read_text("utf-8")) if path.is_file() else None
    if gpu is None:
        msg = f"{path} does not name the GPU the engine was built on; see the command of --plan that writes it"
        raise BadInputError(msg)
    return Engine(
        tensorrt_llm_version=built.version,
        container_image=settings.toolkit(parts.version).reference,
        compute_capability=gpu.compute_capability,
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
    for name in (CONFIG_FILE, ENGINE_FILE):  # one by one: copytree hides why a file could not be written
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
    (folder / MODEL / "1").mkdir(parents=True)
    (folder / MODEL / "config.pbtxt").write_text(config, "utf-8")


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = make_parser(
        "engine assemble",
        "Put TensorRT engine, tokenizer, prompt and answer form into a bundle, and write the Triton model of it.",
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
        precision = Precision(options.precision)
        folders = (options.checkpoint, options.probed, options.compiled)
        parts = Parts(*folders, precision, options.toolkit, options.model_repository)
        bundle = assemble(parts, read_settings(options.settings), options.output)
        print(f"{options.output} is ready: {bundle.profile.model_version}")

    return run_program("assemble", work)
