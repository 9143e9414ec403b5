"""The steps of a build, in order: what each runs, reads and writes; and the whole of it on paper."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from archrouter.bundles.loader import load_bundle
from archrouter.bundles.manifest import ENGINE_FOLDER
from engine import commands
from engine.assemble import GPU_FILE, MODEL
from engine.checkpoint import CheckedCheckpoint, check_checkpoint
from engine.commands import CHECKPOINT, GPU_QUERY, PROMPTS, TENSORS, Command, serve_line
from engine.fetch import Download, checkpoint_folder, fetch, is_hub_id
from engine.prompts import write_prompts
from engine.settings import DEFAULT_FILE, DEFAULT_TOOLKIT, Precision, Settings, Toolkit

DEFAULT_ENDPOINT = "127.0.0.1:8001"

_PYTHON = "python"

Document = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build; the command line's help describes each part."""

    source: str
    revision: str | None
    precision: Precision
    version: str
    settings_file: Path
    settings: Settings
    workspace: Path
    model_repository: Path
    download: Download
    converted: Path | None = None
    prompt_template: Path | None = None
    dialect: str | None = None
    prompt_records: Path | None = None
    records: Path | None = None
    endpoint: str = DEFAULT_ENDPOINT
    model: str = MODEL

    @property
    def toolkit(self) -> Toolkit:
        """Pins of the version."""
        return self.settings.toolkit(self.version)

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint lies once it is fetched."""
        return checkpoint_folder(self.source, self.folder("fetch"))

    @property
    def bundle(self) -> Path:
        """Where the bundle lies once it is assembled."""
        return self.folder("assemble") / "bundle"

    def folder(self, step: str) -> Path:
        """Where a step's output goes."""
        return self.workspace / step

    def inspect(self) -> CheckedCheckpoint | None:
        """Read the checkpoint's headers; None while it is not fetched."""
        return None if is_hub_id(self.source) and not self.checkpoint.is_dir() else check_checkpoint(self.checkpoint)


class Place(Enum):
    """Where a step can run."""

    HERE = "on any machine"
    IMAGE = "in the image, with a GPU"
    SERVED = "against the served TensorRT engine"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a command, whose ``python`` is the running interpreter, or a work of this program's own.

    It depends on the outputs of the steps it needs, and on other files and folders, its inputs.
    """

    name: str
    summary: str
    place: Place
    output: Path
    command: Command = ()
    work: Callable[[], object] | None = None
    needs: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()


def steps_of(request: BuildRequest, checked: CheckedCheckpoint | None) -> tuple[Step, ...]:
    """List the steps of a build in their order; ``checked`` is None while the checkpoint is not fetched."""
    return (
        _fetch(request),
        _probe(request),
        *_weights(request),
        _compile(request, checked),
        _assemble(request),
        _verify(request),
        *_calibrate(request),
    )


def _fetch(request: BuildRequest) -> Step:
    output = request.folder("fetch")
    return Step(
        "fetch",
        "get the checkpoint, check that its parts fit together, record its licence",
        Place.HERE,
        output,
        work=lambda: fetch(request.source, request.revision, output, request.download),
        inputs=() if is_hub_id(request.source) else (Path(request.source),),
    )


def _probe(request: BuildRequest) -> Step:
    output = request.folder("probe")
    converted, template = request.converted, request.prompt_template
    return Step(
        "probe",
        "take the prompt from the model card, run the weights on the CPU, read the form of their answers",
        Place.HERE,
        output,
        command=(
            *(_PYTHON, "-m", "archrouter", "bundle", "build", "--checkpoint", str(request.checkpoint)),
            *("--output", str(output), "--precision", request.settings.probe.precision),
            *(("--converted", str(converted)) if converted else ()),
            *(("--prompt-template", str(template)) if template else ()),
            *(("--dialect", request.dialect) if request.dialect else ()),
            *("--max-prompt-tokens", str(request.settings.engine.max_prompt_tokens)),
            *("--model-repository", str(request.model_repository)),
        ),
        needs=("fetch",),
        inputs=tuple(path for path in (converted, template) if path),
    )


def _weights(request: BuildRequest) -> Iterator[Step]:
    """Yield the steps that make TensorRT-LLM's weights: convert alone, or prompts where needed and quantize."""
    precision, toolkit, reads = request.precision, request.toolkit, {CHECKPOINT: request.checkpoint}
    if not precision.is_quantized:
        tool = commands.convert_command(toolkit)
        yield _tool(request, "convert", "turn the weights into TensorRT-LLM's, as bfloat16", tool, reads)
        return
    if precision.needs_prompts and request.prompt_records is not None:
        yield _prompts(request, request.prompt_records)
        reads[PROMPTS] = request.folder("prompts")
    summary = f"quantise the weights to {precision.value}; the KV cache stays in 16 bits"
    tool = commands.quantize_command(toolkit, request.settings.quantization, precision)
    yield _tool(request, "quantize", summary, tool, reads)


def _prompts(request: BuildRequest, records: Path) -> Step:
    output, limits = request.folder("prompts"), request.settings.quantization
    count = commands.calibration_size(limits, request.precision)
    return Step(
        "prompts",
        f"render {count} routing prompts of near equal length that the quantisation calibrates on",
        Place.HERE,
        output,
        work=lambda: write_prompts(load_bundle(request.folder("probe")), records, count, limits, output),
        needs=("probe",),
        inputs=(records,),
    )


def _compile(request: BuildRequest, checked: CheckedCheckpoint | None) -> Step:
    limits = request.settings.engine
    if checked is not None:
        limits = limits.capped(checked.geometry.max_positions)
    tool = commands.compile_command(request.toolkit, limits, request.precision)
    reads = {TENSORS: request.folder("quantize" if request.precision.is_quantized else "convert")}
    return _tool(request, "compile", "compile the TensorRT engine for this GPU model", tool, reads)


def _tool(request: BuildRequest, name: str, summary: str, tool: Command, reads: Mapping[str, Path]) -> Step:
    """Make a step of one of TensorRT-LLM's tools, in a container of its own."""
    output = request.folder(name)
    return Step(
        name,
        summary,
        Place.IMAGE,
        output,
        command=commands.in_container(request.toolkit, request.settings.container, tool, reads, tool_output(output)),
        needs=("fetch", *(folder.name for name, folder in reads.items() if name != CHECKPOINT)),
    )


def tool_output(folder: Path) -> Path:
    """Say where a tool writes in its step's folder: the TensorRT engine gets a folder of its own."""
    return folder / ENGINE_FOLDER if folder.name == "compile" else folder


def _assemble(request: BuildRequest) -> Step:
    output = request.folder("assemble")
    settings = () if request.settings_file == DEFAULT_FILE else ("--settings", str(request.settings_file))
    toolkit = () if request.version == DEFAULT_TOOLKIT else ("--toolkit", request.version)
    return Step(
        "assemble",
        "seal bundle and manifest, write the Triton model that serves them",
        Place.HERE,
        output,
        command=(
            *(_PYTHON, "-m", "engine", "assemble", "--checkpoint", str(request.checkpoint)),
            *("--probed", str(request.folder("probe")), "--compiled", str(request.folder("compile"))),
            *("--precision", request.precision.value, "--output", str(output)),
            *("--model-repository", str(request.model_repository), *settings, *toolkit),
        ),
        needs=("fetch", "probe", "compile"),
        inputs=(request.settings_file, request.model_repository / MODEL / "config.pbtxt"),
    )


def _verify(request: BuildRequest) -> Step:
    output = request.folder("verify")
    module = (_PYTHON, "-m", "engine.verify", *_served(request))
    return Step(
        "verify",
        "compare the served TensorRT engine with the checkpoint in transformers",
        Place.SERVED,
        output,
        command=(*module, "--checkpoint", str(request.checkpoint), "--output", str(output)),
        needs=("fetch", "assemble"),
    )


def _calibrate(request: BuildRequest) -> Iterator[Step]:
    if request.records is not None:
        yield Step(
            "calibrate",
            "fit the confidence on labelled conversations and write it into the bundle",
            Place.SERVED,
            request.bundle / "calibration.json",
            command=(_PYTHON, "-m", "engine.calibrate", *_served(request), "--records", str(request.records)),
            needs=("assemble",),
            inputs=(request.records,),
        )


def _served(request: BuildRequest) -> Command:
    return ("--endpoint", request.endpoint, "--model", request.model, "--bundle", str(request.bundle))


def plan_document(request: BuildRequest) -> Document:
    """Plan a build; a checkpoint that cannot be used raises BadInputError."""
    return {
        "source": request.source,
        "revision": request.revision,
        "precision": request.precision.value,
        "tensorrt_llm": request.version,
        "image": request.toolkit.reference,
        "workspace": str(request.workspace),
        "steps": [_planned(step) for step in steps_of(request, request.inspect())],
        "serve": serve_line(request.toolkit, request.settings.container, request.folder("assemble")),
    }


def plan_text(document: Document) -> str:
    """Write a plan for people."""
    lines = [
        (
            f"from {document['source']} to {document['workspace']}: {document['precision']}, "
            f"TensorRT-LLM {document['tensorrt_llm']} in {document['image']}"
        )
    ]
    for number, step in enumerate(document["steps"], 1):
        lines += ["", f"{number}. {step['name']}, {step['place']}: {step['summary']}"]
        lines += [f"   $ {command}" for command in step["commands"]] + [f"   {step['output']}"]
    lines += ["", "Serve the TensorRT engine, before verify:", f"   $ {document['serve']}"]
    lines += ["", "The commands run in the root of the repository, with PYTHONPATH=build. Nothing was run."]
    return "\n".join(lines)


def _planned(step: Step) -> Document:
    commands = [shlex.join(step.command)] if step.command else []
    if step.place is Place.IMAGE:
        # Relative to the working folder, as people would write it; Docker wants absolute paths.
        commands[0] = commands[0].replace(f"{Path.cwd()}/", '"$PWD"/')
        commands.insert(0, f"mkdir -p {tool_output(step.output)}")
        commands.append(f"{shlex.join(GPU_QUERY)} > {step.output / GPU_FILE}")
    return {
        "name": step.name,
        "summary": step.summary,
        "place": step.place.value,
        "commands": commands,
        "output": str(step.output),
    }
