"""Builds a prompt bundle that serves a checkpoint on the CPU: convert, write, probe the answer, seal."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from archrouter.bundles.checkpoint import read_checkpoint, read_utf8
from archrouter.bundles.loader import PromptBundle, load_bundle
from archrouter.bundles.manifest import MODEL_FOLDER, BundleError
from archrouter.bundles.probe import MIN_AGREEMENT, SkeletonProbe, probe_answers
from archrouter.bundles.writer import (
    BundlePlan,
    atomic_directory,
    convert_for_cpu,
    write_manifest,
    write_prompt_files,
)
from archrouter.domain.answer import AnswerSkeleton
from archrouter.domain.dialect import Dialect
from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.triton_client import TritonClient

REFERENCE_MODEL = "reference_lm"
DEFAULT_MAX_PROMPT_TOKEN_COUNT = 4096

_START_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class BundleRequest:
    """What bundle to build.

    Attributes:
        checkpoint: A Hugging Face directory of a Qwen2 or Qwen3 model; nothing is downloaded.
        output: Where the bundle goes; must not exist.
        precision: ``fp32`` or ``int4``, for the conversion.
        exported: Folder of a model that is converted already; None converts.
        prompt_template: File of the prompt; None takes it from the checkpoint's model card.
        dialect: The JSON the weights were trained to read; None is that of their family.
        max_prompt_token_count: Tokens to read at most; the checkpoint's own limit caps it.
        model_repository: Folder that holds ``reference_lm``.
        force: Whether to take an answer skeleton that too few probes agree on.
    """

    checkpoint: Path
    output: Path
    precision: str
    exported: Path | None
    prompt_template: Path | None
    dialect: Dialect | None
    max_prompt_token_count: int
    model_repository: Path
    force: bool


def build_bundle(request: BundleRequest, report: Callable[[str], None]) -> PromptBundle:
    """Build a bundle: whole, or not at all.

    Args:
        request: What to build.
        report: Told in a sentence what happens next.

    Returns:
        The bundle, loaded from where it is.

    Raises:
        BundleError: When a part is missing, the conversion fails, or too few probes agree on the answer's form.
        EmbeddedTritonError: When the converted model cannot be served.
    """
    plan = _plan(request)
    checkpoint = plan.checkpoint
    report(f"checkpoint {checkpoint.name}: licence {checkpoint.license}, {checkpoint.max_positions} positions")
    with atomic_directory(request.output) as directory:
        if request.exported is not None:
            report(f"taking the converted model from {request.exported}")
            shutil.copytree(request.exported, directory / MODEL_FOLDER)
        else:
            report(
                f"converting the weights to {request.precision} for the CPU; minutes for a model of 1.5 B parameters"
            )
            convert_for_cpu(request.checkpoint, directory / MODEL_FOLDER, precision=request.precision)
        write_prompt_files(directory, plan)
        write_manifest(directory, plan, checkpoint.family.skeleton, agreement=0.0, probe_count=0)
        report("probing how the weights write their answer")
        probe = asyncio.run(_probe(load_bundle(directory), request.model_repository))
        skeleton = _trusted(probe, checkpoint.family.skeleton if request.force else None)
        write_manifest(directory, plan, skeleton, agreement=probe.agreement, probe_count=probe.answer_count)
        report(f"answer skeleton {skeleton.render('name')}: {probe.agreement:.0%} of {probe.answer_count} probes")
        load_bundle(directory)
    return load_bundle(request.output)


def _plan(request: BundleRequest) -> BundlePlan:
    template = request.prompt_template
    checkpoint = read_checkpoint(request.checkpoint)
    dialect = request.dialect or checkpoint.family.dialect
    if template is None and dialect is not Dialect.CARD:
        msg = (
            f"the model card's prompt is for the dialect {Dialect.CARD.value}; give the prompt that the weights were "
            f"trained with for the dialect {dialect.value} with --prompt-template"
        )
        raise BundleError(msg)
    return BundlePlan(
        checkpoint=checkpoint,
        prompt_template=read_utf8(template) if template else checkpoint.prompt_template(),
        dialect=dialect,
        # One position stays free for the token whose logits are asked for.
        max_prompt_token_count=min(request.max_prompt_token_count, checkpoint.max_positions - 1),
    )


def _trusted(probe: SkeletonProbe, otherwise: AnswerSkeleton | None) -> AnswerSkeleton:
    """Return the probed form where enough probes agree, else with a form to fall back to the best there is."""
    if probe.skeleton is not None and (probe.is_trustworthy or otherwise):
        return probe.skeleton
    if otherwise is not None:
        return otherwise
    msg = (
        f"only {probe.agreement:.0%} of {probe.answer_count} probes agree on the form of the answer, "
        f"{MIN_AGREEMENT:.0%} are needed; is the prompt the one the weights were trained with? --force builds anyway"
    )
    raise BundleError(msg)


async def _probe(bundle: PromptBundle, model_repository: Path) -> SkeletonProbe:
    """Serve the model on this machine for as long as the probe takes."""
    model = EmbeddedModel(REFERENCE_MODEL, bundle.model_parameters)
    triton = EmbeddedTriton(model_repository, (model,), _START_TIMEOUT_S)
    try:
        await triton.start()
        client = TritonClient(triton.endpoint, max_concurrent_requests=1)
        try:
            return await probe_answers(client, REFERENCE_MODEL, bundle)
        finally:
            await client.close()
    finally:
        await triton.stop()
        triton.close()
