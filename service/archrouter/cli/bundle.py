"""``archrouter bundle``."""

from pathlib import Path

import click

from archrouter.bundles.builder import DEFAULT_MAX_PROMPT_TOKEN_COUNT, BundleRequest, build_bundle
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.manifest import BundleError, check_files
from archrouter.cli.connection import EXISTING_FILE
from archrouter.cli.console import note, print_json
from archrouter.cli.exits import FailedError
from archrouter.cli.policy_paths import EXISTING_FOLDER
from archrouter.config import EmbeddedSettings
from archrouter.domain.dialect import Dialect
from archrouter.inference.installation import EmbeddedTritonError

GROUP_EPILOG = """\b
Examples:
  archrouter bundle inspect bundles/arch-router
  archrouter bundle build --help
"""
BUILD_EPILOG = """\b
Examples:
  archrouter bundle build --checkpoint Arch-Router-1.5B --output bundles/arch-router --precision int4
  archrouter bundle build --checkpoint my-router --output bundles/mine --prompt-template prompt.txt
  archrouter serve --embedded --routing-mode engine --triton-bundle-directory bundles/arch-router
"""
INSPECT_EPILOG = """\b
Examples:
  archrouter bundle inspect bundles/arch-router
  archrouter bundle inspect --json bundles/arch-router
"""
CHECK_EPILOG = """\b
Examples:
  archrouter bundle check bundles/arch-router
"""


@click.group(short_help="Build and check prompt bundles, what the engine tier serves.", epilog=GROUP_EPILOG)
def bundle() -> None:
    """Build and check prompt bundles: tokenizer, prompt and form of the answer, as the weights need them."""


@bundle.command(short_help="Show what a bundle holds.", epilog=INSPECT_EPILOG)
@click.argument("directory", type=EXISTING_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def inspect(directory: Path, *, as_json: bool) -> None:
    """Show what a bundle holds, after checking the files of its prompt."""
    record = _record(_loaded(directory))
    if as_json:
        print_json(record)
        return
    for key, value in record.items():
        click.echo(f"{key:<24} {value}")


@bundle.command(short_help="Check every file of a bundle.", epilog=CHECK_EPILOG)
@click.argument("directory", type=EXISTING_FOLDER)
def check(directory: Path) -> None:
    """Check that every file of a bundle is whole and that its parts fit together. Exit code 1 when not."""
    loaded = _loaded(directory)
    try:
        check_files(directory, loaded.manifest)
    except BundleError as error:
        raise FailedError(str(error)) from error
    note(f"{len(loaded.manifest.files)} files are whole and fit together: {loaded.profile.model_version}")


@bundle.command(short_help="Make a bundle from a checkpoint directory.", epilog=BUILD_EPILOG)
@click.option(
    "--checkpoint", required=True, type=EXISTING_FOLDER, help="Hugging Face directory of a Qwen2 or Qwen3 model."
)
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder to make; must not exist.")
@click.option("--runtime", type=click.Choice(["cpu"]), default="cpu", show_default=True, help="What will serve it.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "int4"]),
    default="fp32",
    show_default=True,
    help="Of the converted weights; int4 takes a quarter of the memory.",
)
@click.option("--converted", type=EXISTING_FOLDER, help="Folder of an ONNX Runtime GenAI model; converts nothing.")
@click.option(
    "--prompt-template",
    type=EXISTING_FILE,
    help="File with {routes} and {conversation}; default: the prompt in the checkpoint's model card.",
)
@click.option(
    "--dialect",
    type=click.Choice([dialect.value for dialect in Dialect]),
    help="JSON of routes and messages: of the model card, the reference gateway, or its successor Plano. "
    "Default: that of the model family.",
)
@click.option(
    "--max-prompt-tokens",
    type=click.IntRange(min=64),
    default=DEFAULT_MAX_PROMPT_TOKEN_COUNT,
    show_default=True,
    help="Tokens to read at most; the checkpoint's own limit caps it.",
)
@click.option(
    "--model-repository",
    type=EXISTING_FOLDER,
    default=Path(EmbeddedSettings().model_repository),
    show_default=True,
    help="Folder that holds the Triton model reference_lm.",
)
@click.option("--force", is_flag=True, help="Build also when too few probes agree on the form of the answer.")
def build(  # noqa: PLR0913  # one for each option
    *,
    checkpoint: Path,
    output: Path,
    runtime: str,
    precision: str,
    converted: Path | None,
    prompt_template: Path | None,
    dialect: str | None,
    max_prompt_tokens: int,
    model_repository: Path,
    force: bool,
) -> None:
    """Make a bundle that serves a checkpoint on this machine's CPU. Nothing is downloaded.

    Converting needs the extra archrouter[build] (torch, several GB). A 1.5 B-parameter model takes about 6 GB as fp32.
    The bundle appears whole or not at all.
    """
    del runtime  # there is one; the option leaves room for TensorRT engines
    request = BundleRequest(
        checkpoint=checkpoint,
        output=output,
        precision=precision,
        exported=converted,
        prompt_template=prompt_template,
        dialect=Dialect(dialect) if dialect else None,
        max_prompt_token_count=max_prompt_tokens,
        model_repository=model_repository,
        force=force,
    )
    try:
        built = build_bundle(request, note)
    except (BundleError, EmbeddedTritonError, OSError) as error:
        raise FailedError(str(error)) from error
    note(f"{output} is ready: {built.profile.model_version}")
    note(f"serve it: archrouter serve --embedded --routing-mode engine --triton-bundle-directory {output}")


def _loaded(directory: Path) -> PromptBundle:
    try:
        return load_bundle(directory)
    except BundleError as error:
        raise FailedError(str(error)) from error


def _record(loaded: PromptBundle) -> dict[str, object]:
    manifest, profile = loaded.manifest, loaded.profile
    return {
        "model_version": profile.model_version,
        "checkpoint": manifest.checkpoint.name,
        "license": manifest.checkpoint.license,
        "runtime": manifest.runtime,
        "dialect": manifest.dialect,
        "answer": loaded.prompt_format.skeleton.render("name"),
        "answer_agreement": manifest.skeleton.agreement,
        "answer_probe_count": manifest.skeleton.probe_count,
        "max_prompt_token_count": profile.max_prompt_token_count,
        "tokenizer_digest": profile.tokenizer_digest,
        "prompt_template_version": profile.prompt_template_version,
        "calibration_kind": "isotonic" if profile.calibration.isotonic else "temperature",
        "calibration_temperature": profile.calibration.temperature,
        "calibration_samples": profile.calibration.sample_count,
        "files": len(manifest.files),
    }
