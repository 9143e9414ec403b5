"""Command build: from a checkpoint to a verified engine, step by step, going on where it stopped."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from rich.progress import TaskID

from archrouter.bundles.manifest import read_manifest
from archrouter.cli.console import note, progress, shortened
from archrouter.domain.dialect import Dialect
from archrouter.inference.triton_client import TritonClient
from engine.driver import Driver, Progress
from engine.errors import BadInputError
from engine.fetch import check_source
from engine.image import DOCKER
from engine.model_config import MODEL
from engine.plan import plan_document, plan_text
from engine.precision import Precision, check_kv_cache
from engine.program import make_parser, run_program
from engine.request import DEFAULT_ENDPOINT, BuildRequest, default_workspace
from engine.runner import Runner, SystemRunner
from engine.settings import DEFAULT_FILE, DEFAULT_TOOLKIT, read_settings
from engine.state import StepState
from engine.steps import Step, steps_of

_MODEL_REPOSITORY = Path("model_repository")
_LINE_CHARACTERS = 70
_READY_TIMEOUT_S = 5.0


class ConsoleProgress(Progress):
    """Shows a build on standard error: a bar on a terminal, and a line for each step."""

    def __init__(self, step_count: int) -> None:
        """Prepare a bar.

        Args:
            step_count: Steps of the build.
        """
        self.elapsed_s: dict[str, float | None] = {}
        self._bar = progress()
        self._task: TaskID = self._bar.add_task("", total=step_count)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Take it away."""
        self._bar.stop()

    def started(self, step: Step) -> None:
        """See `Progress.started`."""
        self._bar.update(self._task, description=step.name)
        note(f"{step.name}: {step.summary}")

    def line(self, step: Step, text: str) -> None:
        """See `Progress.line`."""
        self._bar.update(self._task, description=f"{step.name}: {shortened(text, _LINE_CHARACTERS)}")

    def finished(self, step: Step, state: StepState, *, is_new: bool) -> None:
        """See `Progress.finished`."""
        self.elapsed_s[step.name] = state.elapsed_s if is_new else None
        self._bar.advance(self._task)
        note(f"{step.name}: done in {state.elapsed_s:.1f} s" if is_new else f"{step.name}: unchanged, not run again")


def is_served(endpoint: str, model: str) -> bool:
    """Ask whether a Triton serves a model.

    Args:
        endpoint: HOST:PORT of its gRPC.
        model: Its name.

    Returns:
        False also when nothing answers within 5 seconds.
    """

    async def ask() -> bool:
        connection = TritonClient(endpoint, max_concurrent_requests=1)
        try:
            return await connection.is_model_ready(model, timeout_s=_READY_TIMEOUT_S)
        finally:
            await connection.close()

    return asyncio.run(ask())


def main(
    arguments: Sequence[str],
    runner: Runner | None = None,
    served: Callable[[str, str], bool] = is_served,
) -> int:
    """Run the command.

    Args:
        arguments: Of the command line.
        runner: Starts programs.
        served: Asks whether HOST:PORT serves a model.

    Returns:
        Exit code.
    """
    options = _parser().parse_args(arguments)

    def work() -> None:
        request = _request(options)
        if options.plan:
            document = plan_document(request)
            print(json.dumps(document, ensure_ascii=False, indent=1) if options.json else plan_text(document))
            return
        with ConsoleProgress(len(steps_of(request, None))) as shown:
            driver = Driver(request, runner or SystemRunner(), shown, served, options.container == DOCKER)
            left = driver.run(options.until)
        _report(request, shown, left, as_json=options.json)

    return run_program("build", work)


def _request(options: argparse.Namespace) -> BuildRequest:
    check_kv_cache(options.kv_cache)
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
    return BuildRequest(
        source=options.checkpoint,
        revision=options.revision,
        precision=precision,
        version=options.toolkit,
        settings_file=options.settings,
        settings=settings,
        workspace=options.workspace or default_workspace(options.checkpoint, precision),
        model_repository=_MODEL_REPOSITORY,
        converted=options.converted,
        prompt_template=options.prompt_template,
        dialect=options.dialect,
        prompt_records=options.prompt_records,
        records=options.records,
        endpoint=options.endpoint,
        model=options.model,
    )


def _report(request: BuildRequest, shown: ConsoleProgress, left: Sequence[Step], *, as_json: bool) -> None:
    """Say what there is now, and what did not run."""
    release = request.folder("assemble")
    version = read_manifest(release / "bundle")[1] if "assemble" in shown.elapsed_s else None
    not_run = [step.name for step in left] + ([] if request.records else ["calibrate"])
    if as_json:
        document = {"workspace": str(request.workspace), "model_version": version, "not_run": not_run}
        print(json.dumps({**document, "seconds": shown.elapsed_s}, indent=1))
        return
    if version is not None:
        print(f"{release}: {version}")
    if not_run:
        reason = "" if request.records else "; calibrate needs --records"
        note(f"did not run: {', '.join(not_run)}{reason}")


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "build",
        "Make a verified engine from a checkpoint. Run it again after whatever stopped it: done steps are kept.",
        [
            "--checkpoint Arch-Router-1.5B --plan",
            "--checkpoint Arch-Router-1.5B --precision bf16",
            "--checkpoint katanemo/Arch-Router-1.5B --revision <40 hex digits> --container docker",
            "--checkpoint Arch-Router-1.5B --precision fp8 --prompt-records data/train --records data/calibration",
        ],
    )
    add = parser.add_argument
    add("--checkpoint", required=True, help="folder of a Qwen2 checkpoint, or a hub id owner/name")
    add("--revision", help="full commit; needed with a hub id")
    add("--precision", default="bf16", choices=[p.value for p in Precision], help="default: %(default)s")
    add("--kv-cache", default="16bit", choices=("16bit", "fp8", "int8"), help="only 16bit is built")
    add("--toolkit", default=DEFAULT_TOOLKIT, help="version of TensorRT-LLM (default: %(default)s)")
    add("--settings", type=Path, default=DEFAULT_FILE, help="pins and limits (default: build/pipeline.toml)")
    add("--workspace", type=Path, help="folder for all steps (default: out/engine/<name>-<precision>)")
    add("--converted", type=Path, help="folder of the checkpoint converted for the CPU; converts nothing in probe")
    add("--prompt-template", type=Path, help="file of the prompt (default: from the model card)")
    add("--dialect", default="card", choices=[d.value for d in Dialect], help="default: %(default)s")
    add("--prompt-records", type=Path, help="labelled conversations whose prompts calibrate fp8 and int4_awq")
    add("--records", type=Path, help="labelled conversations to calibrate the confidence on")
    add("--endpoint", default=DEFAULT_ENDPOINT, help="gRPC of the Triton that serves it (default: %(default)s)")
    add("--model", default=MODEL, help="its name there (default: %(default)s)")
    add("--container", choices=(DOCKER,), help="run TensorRT-LLM's tools in containers of the image")
    add("--until", metavar="STEP", help="stop after this step")
    add("--plan", action="store_true", help="print commands, files and sizes; run nothing")
    add("--json", action="store_true", help="print one JSON document")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
