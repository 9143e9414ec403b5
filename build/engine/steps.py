"""The steps of a build, in order: what each runs, reads and writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from archrouter.bundles.manifest import ENGINE_FOLDER
from engine.built import GPU_FILE, WEIGHTS_FILE
from engine.fetch import RECORD_FILE, is_hub_id
from engine.geometry import CheckedCheckpoint
from engine.model_config import MODEL
from engine.precision import Precision
from engine.prompts import PROMPTS_FILE
from engine.request import BuildRequest
from engine.settings import DEFAULT_FILE, DEFAULT_TOOLKIT
from engine.sizes import EngineSize, engine_size
from engine.toolchain import Command, compile_command, convert_command, quantize_command

_PYTHON = "python"
_FLOAT_BYTES = 4


class Place(Enum):
    """Where a step can run."""

    HERE = "on any machine"
    IMAGE = "in the image, with a GPU"
    SERVED = "against the running engine"


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        name: Its command, too.
        summary: What it does.
        place: Where it can run.
        command: What the driver runs; ``python`` stands for the running interpreter.
        tool: What that runs inside the image, with the step's own folder in place of its scratch folder.
        reads: Steps whose outputs it depends on.
        inputs: Other files and folders it depends on.
        output: Folder or file it makes.
        writes: Names in it, for people.
        byte_count: About what it writes; None where that is little or unknown.
    """

    name: str
    summary: str
    place: Place
    command: Command
    output: Path
    tool: Command | None = None
    reads: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    writes: tuple[str, ...] = ()
    byte_count: int | None = None


def steps_of(request: BuildRequest, checked: CheckedCheckpoint | None) -> tuple[Step, ...]:
    """List the steps of a build.

    Args:
        request: What to build.
        checked: The checkpoint's headers; None while it is not fetched.

    Returns:
        The steps in their order.
    """
    size = None if checked is None else _size_of(request, checked)
    return (
        _fetch(request),
        _probe(request, checked),
        *_weights(request, size),
        _compile(request, checked, size),
        _assemble(request, size),
        _verify(request),
        *_calibrate(request),
    )


def _size_of(request: BuildRequest, checked: CheckedCheckpoint) -> EngineSize:
    block = request.settings.quantization.awq_block_size
    return engine_size(checked.weights, checked.geometry, request.precision, block)


def _fetch(request: BuildRequest) -> Step:
    output = request.folder("fetch")
    revision = ("--revision", request.revision) if request.revision else ()
    hub = (request.checkpoint.name + "/",) if is_hub_id(request.source) else ()
    return Step(
        name="fetch",
        summary="get the checkpoint, check that its parts fit together, show its licence",
        place=Place.HERE,
        command=(*_module("fetch"), "--source", request.source, *revision, "--output", str(output)),
        output=output,
        writes=(RECORD_FILE, *hub),
    )


def _probe(request: BuildRequest, checked: CheckedCheckpoint | None) -> Step:
    output = request.folder("probe")
    converted, template = request.converted, request.prompt_template
    return Step(
        name="probe",
        summary="take the prompt from the model card, run the weights on the CPU, read the form of their answers",
        place=Place.HERE,
        command=(
            *(_PYTHON, "-m", "archrouter", "bundle", "build", "--checkpoint", str(request.checkpoint)),
            *("--output", str(output), "--precision", request.settings.probe.precision),
            *(("--converted", str(converted)) if converted else ()),
            *(("--prompt-template", str(template)) if template else ()),
            *("--dialect", request.dialect, "--max-prompt-tokens", str(request.settings.engine.max_prompt_tokens)),
            *("--model-repository", str(request.model_repository)),
        ),
        output=output,
        reads=("fetch",),
        inputs=tuple(path for path in (converted, template) if path),
        writes=("manifest.json", "tokenizer.json", "chat_template.jinja", "prompt_template.txt", "model/"),
        byte_count=None if checked is None else checked.weights.parameter_count * _FLOAT_BYTES,
    )


def _weights(request: BuildRequest, size: EngineSize | None) -> Iterator[Step]:
    """Yield the steps that make TensorRT-LLM's weights: convert alone, or prompts where needed and quantize."""
    precision, toolkit = request.precision, request.toolkit
    byte_count = None if size is None else size.most
    files = ("config.json", "rank0.safetensors")
    if not precision.is_quantized:
        output = request.folder("convert")
        yield Step(
            name="convert",
            summary="turn the weights into TensorRT-LLM's, as bfloat16",
            place=Place.IMAGE,
            command=(
                *(*_module("convert"), "--checkpoint", str(request.checkpoint), "--output", str(output)),
                *_pins(request),
            ),
            tool=convert_command(toolkit, request.checkpoint, output),
            output=output,
            reads=("fetch",),
            writes=files,
            byte_count=byte_count,
        )
        return
    prompts = None
    if precision.needs_prompts and request.prompt_records is not None:
        prompts = request.folder("prompts")
        yield _prompts(request, request.prompt_records, prompts)
    output = request.folder("quantize")
    yield Step(
        name="quantize",
        summary=f"quantise the weights to {precision.value}; the KV cache stays in 16 bits",
        place=Place.IMAGE,
        command=(
            *(*_module("quantize"), "--checkpoint", str(request.checkpoint), "--precision", precision.value),
            *(("--prompts", str(prompts)) if prompts else ()),
            *("--output", str(output), *_pins(request)),
        ),
        tool=quantize_command(toolkit, request.settings.quantization, precision, request.checkpoint, prompts, output),
        output=output,
        reads=("fetch", "prompts") if prompts else ("fetch",),
        writes=files,
        byte_count=byte_count,
    )


def _prompts(request: BuildRequest, records: Path, output: Path) -> Step:
    quantization = request.settings.quantization
    is_fp8 = request.precision is Precision.FP8
    count = quantization.fp8_prompts if is_fp8 else quantization.int4_awq_prompts
    return Step(
        name="prompts",
        summary="render the routing prompts that the quantisation calibrates on",
        place=Place.HERE,
        command=(
            *(*_module("prompts"), "--bundle", str(request.folder("probe")), "--records", str(records)),
            *("--count", str(count), "--output", str(output)),
        ),
        output=output,
        reads=("probe",),
        inputs=(records,),
        writes=(PROMPTS_FILE,),
    )


def _compile(request: BuildRequest, checked: CheckedCheckpoint | None, size: EngineSize | None) -> Step:
    tensors = request.folder("quantize" if request.precision.is_quantized else "convert")
    output = request.folder("compile")
    limits = request.settings.engine
    if checked is not None:
        limits = limits.capped(checked.geometry.max_positions)
    return Step(
        name="compile",
        summary="compile the engine for this GPU model",
        place=Place.IMAGE,
        command=(
            *(*_module("compile"), "--checkpoint", str(request.checkpoint), "--tensors", str(tensors)),
            *("--precision", request.precision.value, "--output", str(output), *_pins(request)),
        ),
        tool=compile_command(request.toolkit, limits, request.precision, tensors, output / ENGINE_FOLDER),
        output=output,
        reads=("fetch", tensors.name),
        writes=(f"{ENGINE_FOLDER}/config.json", f"{ENGINE_FOLDER}/{WEIGHTS_FILE}", GPU_FILE),
        byte_count=None if size is None else size.most,
    )


def _assemble(request: BuildRequest, size: EngineSize | None) -> Step:
    output = request.folder("assemble")
    return Step(
        name="assemble",
        summary="seal bundle and manifest, write the Triton model that serves them",
        place=Place.HERE,
        command=(
            *(*_module("assemble"), "--checkpoint", str(request.checkpoint), "--probed", str(request.folder("probe"))),
            *("--compiled", str(request.folder("compile")), "--precision", request.precision.value),
            *("--output", str(output), "--model-repository", str(request.model_repository), *_pins(request)),
        ),
        output=output,
        reads=("fetch", "probe", "compile"),
        inputs=(request.settings_file, request.model_repository / MODEL / "config.pbtxt"),
        writes=(
            "bundle/manifest.json",
            "bundle/tokenizer.json",
            "bundle/chat_template.jinja",
            "bundle/prompt_template.txt",
            f"bundle/{ENGINE_FOLDER}/config.json",
            f"bundle/{ENGINE_FOLDER}/{WEIGHTS_FILE}",
            f"model_repository/{MODEL}/config.pbtxt",
            f"model_repository/{MODEL}/1/",
        ),
        byte_count=None if size is None else size.most,
    )


def _verify(request: BuildRequest) -> Step:
    output = request.folder("verify")
    return Step(
        name="verify",
        summary="compare the served engine with the checkpoint in transformers",
        place=Place.SERVED,
        command=(
            *(*_module("verify", separator="."), *_served(request), "--checkpoint", str(request.checkpoint)),
            *("--output", str(output)),
        ),
        output=output,
        reads=("fetch", "assemble"),
        writes=("verify.json", "verify.md"),
    )


def _calibrate(request: BuildRequest) -> Iterator[Step]:
    if request.records is None:
        return
    bundle = request.folder("assemble") / "bundle"
    yield Step(
        name="calibrate",
        summary="fit the confidence on labelled conversations and write it into the bundle",
        place=Place.SERVED,
        command=(*_module("calibrate", separator="."), *_served(request), "--records", str(request.records)),
        output=bundle / "calibration.json",
        reads=("assemble",),
        inputs=(request.records,),
        writes=(),
    )


def _served(request: BuildRequest) -> Command:
    bundle = request.folder("assemble") / "bundle"
    return ("--endpoint", request.endpoint, "--model", request.model, "--bundle", str(bundle))


def _module(step: str, *, separator: str = " ") -> Command:
    return (_PYTHON, "-m", *f"engine{separator}{step}".split())


def _pins(request: BuildRequest) -> Command:
    """Name settings and toolkit where they are not the defaults."""
    settings = () if request.settings_file == DEFAULT_FILE else ("--settings", str(request.settings_file))
    toolkit = () if request.version == DEFAULT_TOOLKIT else ("--toolkit", request.version)
    return settings + toolkit
