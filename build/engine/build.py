"""Command build: from a checkpoint to a verified TensorRT engine, step by step.

A step whose output exists is not run again while what it was made from is the same: ``STEP.digest`` in the workspace
is the digest of its command, of its inputs' names, sizes and times, and of the digests of the steps before it. It is
written last, so a step that was interrupted starts again.
"""

import argparse
import asyncio
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from archrouter.bundles.manifest import read_manifest
from archrouter.cli.console import note
from archrouter.domain.dialect import Dialect
from archrouter.inference.triton_client import TritonClient
from engine.assemble import GPU_FILE, MODEL
from engine.commands import serve_line
from engine.fetch import Download, check_source, download_from_hub
from engine.host import INSIDE_IMAGE, Host
from engine.program import BadInputError, NeedsMoreError, PipelineError, StepFailedError, make_parser, run_program
from engine.settings import DEFAULT_FILE, DEFAULT_TOOLKIT, Precision, read_settings
from engine.steps import DEFAULT_ENDPOINT, BuildRequest, Place, Step, plan_document, plan_text, steps_of, tool_output

_MODEL_REPOSITORY = Path("model_repository")
_READY_TIMEOUT_S = 5.0
_EXIT_ERRORS: dict[int, type[PipelineError]] = {2: BadInputError, 3: NeedsMoreError}


def is_served(endpoint: str, model: str) -> bool:
    """Ask whether a Triton at HOST:PORT serves a model; False also when nothing answers within 5 seconds."""

    async def ask() -> bool:
        connection = TritonClient(endpoint, max_concurrent_requests=1)
        try:
            return bool(await connection.is_model_ready(model, timeout_s=_READY_TIMEOUT_S))
        finally:
            await connection.close()

    return asyncio.run(ask())


@dataclass(frozen=True, slots=True)
class Builder:
    """Runs the steps of a build."""

    request: BuildRequest
    host: Host
    is_served: Callable[[str, str], bool]

    def run(self, until: str | None) -> tuple[Step, ...]:
        """Run the steps that are not done, up to the named one, and return those that were not asked for."""
        if INSIDE_IMAGE.is_dir():
            msg = (
                "this is TensorRT-LLM's image, and the build runs on the host only: it converts and probes the weights "
                "there, and starts the image itself. Leave the image and repeat the command"
            )
            raise NeedsMoreError(msg)
        steps = steps_of(self.request, None)
        names = [step.name for step in steps]
        if until is not None and until not in names:
            msg = f"there is no step {until!r} in this build; it has {', '.join(names)}"
            raise BadInputError(msg)
        self.request.workspace.mkdir(parents=True, exist_ok=True)
        digests: dict[str, str] = {}
        for position, name in enumerate(names):
            digests[name] = self._bring(steps[position], digests)
            if name == "fetch":
                steps = steps_of(self.request, self.request.inspect())  # the checkpoint's limits are known now
            if name == until:
                return steps[position + 1 :]
        return ()

    def _bring(self, step: Step, digests: dict[str, str]) -> str:
        """Make a step's output unless it is there, and return the step's digest."""
        record = self.request.workspace / f"{step.name}.digest"
        source = [self.request.source, self.request.revision] if step.name == "fetch" else []
        content = [*source, *step.command, *map(fingerprint, step.inputs), *(digests[name] for name in step.needs)]
        digest = _digest(content)
        if record.is_file() and record.read_text("utf-8") == digest and step.output.exists():
            note(f"{step.name}: unchanged, not run again")
            return digest
        self._require_served(step)
        record.unlink(missing_ok=True)
        _remove(step.output)
        note(f"{step.name}: {step.summary}")
        if step.work is not None:
            step.work()
        else:
            self._run(step)
        record.write_text(digest, "utf-8")
        return digest

    def _require_served(self, step: Step) -> None:
        request = self.request
        if step.place is Place.SERVED and not self.is_served(request.endpoint, request.model):
            msg = (
                f"{step.name} needs the TensorRT engine to be served: no model {request.model} is ready at "
                f"{request.endpoint}. Serve it, on the GPU model that built it, and repeat:\n"
                f"  {serve_line(request.toolkit, request.settings.container, request.folder('assemble'))}"
            )
            raise NeedsMoreError(msg)

    def _run(self, step: Step) -> None:
        command = step.command
        if step.place is Place.IMAGE:
            gpu = self.host.require_gpu(self.request.toolkit, self.request.precision)
            tool_output(step.output).mkdir(parents=True)  # a container would make it as root
            (step.output / GPU_FILE).write_text(gpu.line + "\n", "utf-8")
        else:
            command = (sys.executable, *command[1:])
        code = self.host.run(command)
        if code:
            msg = f"step {step.name} ended with exit code {code}; see its output above"
            raise _EXIT_ERRORS.get(code, StepFailedError)(msg)


def fingerprint(path: Path) -> str:
    """Hash names, sizes and times of a file or of all files below a folder: a cheap sign that they have changed."""
    files = [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.is_file())
    stats = [(str(file), file.stat()) for file in files]
    return _digest([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def main(
    arguments: Sequence[str],
    host: Host | None = None,
    served: Callable[[str, str], bool] = is_served,
    download: Download = download_from_hub,
) -> int:
    """Run the command and return its exit code; tests bring a host, a server and a hub of their own."""
    options = _parser().parse_args(arguments)

    def work() -> None:
        request = _request(options, download)
        if options.plan:
            document = plan_document(request)
            print(json.dumps(document, ensure_ascii=False, indent=1) if options.json else plan_text(document))
            return
        left = Builder(request, host or Host(), served).run(options.until)
        _report(request, left, as_json=options.json)

    return run_program("build", work)


def _request(options: argparse.Namespace, download: Download) -> BuildRequest:
    precision = Precision(options.precision)
    check_source(options.checkpoint, options.revision)
    if not (_MODEL_REPOSITORY / MODEL / "config.pbtxt").is_file():
        msg = f"{_MODEL_REPOSITORY / MODEL / 'config.pbtxt'} is missing here; run this in the root of the repository"
        raise BadInputError(msg)
    if precision.needs_prompts and options.prompt_records is None:
        msg = (
            f"precision {precision.value} is calibrated on routing prompts; give --prompt-records, a folder of "
            "labelled conversations that no evaluation uses"
        )
        raise BadInputError(msg)
    settings = read_settings(options.settings)
    settings.toolkit(options.toolkit)
    default = Path("out", "engine", f"{Path(options.checkpoint).name or Path.cwd().name}-{precision.value}")
    same = ("revision", "converted", "prompt_template", "dialect", "prompt_records", "records", "endpoint", "model")
    return BuildRequest(
        source=options.checkpoint,
        precision=precision,
        version=options.toolkit,
        settings_file=options.settings,
        settings=settings,
        workspace=options.workspace or default,
        model_repository=_MODEL_REPOSITORY,
        download=download,
        **{name: getattr(options, name) for name in same},
    )


def _report(request: BuildRequest, left: Sequence[Step], *, as_json: bool) -> None:
    """Say what there is now, and what did not run."""
    is_assembled = "assemble" not in {step.name for step in left}
    version = read_manifest(request.bundle)[1] if is_assembled else None
    not_run = [step.name for step in left] + ([] if request.records else ["calibrate"])
    if as_json:
        document = {"workspace": str(request.workspace), "model_version": version, "not_run": not_run}
        print(json.dumps(document, indent=1))
        return
    if version is not None:
        print(f"{request.folder('assemble')}: {version}")
    if not_run:
        note(f"did not run: {', '.join(not_run)}" + ("" if request.records else "; calibrate needs --records"))


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "engine build",
        "Make a verified TensorRT engine from a checkpoint. Run it again after whatever stopped it: done steps stay.",
        [
            "--checkpoint Arch-Router-1.5B --plan",
            "--checkpoint Arch-Router-1.5B --precision bf16",
            "--checkpoint katanemo/Arch-Router-1.5B --revision <40 hex digits>",
            "--checkpoint Arch-Router-1.5B --precision fp8 --prompt-records data/train --records data/calibration",
        ],
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help="folder of a Qwen2 or Qwen3 checkpoint, or a hub id owner/name")
    add("--revision", help="full commit; needed with a hub id")
    add("--precision", default="bf16", choices=[p.value for p in Precision], help="default: %(default)s")
    add("--toolkit", default=DEFAULT_TOOLKIT, help="version of TensorRT-LLM (default: %(default)s)")
    add("--settings", type=Path, default=DEFAULT_FILE, help="pins and limits (default: build/pipeline.toml)")
    add("--workspace", type=Path, help="folder for all steps (default: out/engine/<name>-<precision>)")
    add("--converted", type=Path, help="folder of the checkpoint converted for the CPU; converts nothing in probe")
    add("--prompt-template", type=Path, help="file of the prompt (default: from the model card)")
    add("--dialect", choices=[d.value for d in Dialect], help="default: that of the model family")
    add("--prompt-records", type=Path, help="labelled conversations whose prompts calibrate fp8 and int4_awq")
    add("--records", type=Path, help="labelled conversations to calibrate the confidence on")
    add("--endpoint", default=DEFAULT_ENDPOINT, help="gRPC of the Triton that serves it (default: %(default)s)")
    add("--model", default=MODEL, help="its name there (default: %(default)s)")
    add("--until", metavar="STEP", help="stop after this step")
    add("--plan", action="store_true", help="print the exact commands; run nothing")
    add("--json", action="store_true", help="print one JSON document")
    return parser
