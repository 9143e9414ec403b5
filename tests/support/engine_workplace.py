"""A build whose steps run in this process: the tools are a stand-in, the probe is a copy, the rest is recorded."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from engine import assemble, build, convert, fetch, prompts, quantize
from engine import compile as compile_step
from recorded_runner import RecordedRunner
from stand_in_toolkit import write_engine

L40S = {"nvidia-smi": "NVIDIA L40S, 8.9, 590.44.01\n"}
TOOLS = frozenset(
    {
        "/app/examples/models/core/qwen/convert_checkpoint.py",
        "/app/examples/quantization/quantize.py",
        "trtllm-build",
        "docker",
    }
)
HERE: dict[str, ModuleType] = {"prompts": prompts, "assemble": assemble}
IN_IMAGE: dict[str, ModuleType] = {"convert": convert, "quantize": quantize, "compile": compile_step}


def option(command: Sequence[str], name: str) -> str:
    """Read the value of an option."""
    return command[command.index(name) + 1]


def step_of(command: Sequence[str]) -> str:
    """Name the step that a command of the driver runs."""
    module = command[2]
    return "probe" if module == "archrouter" else module.partition(".")[2] or command[3]


class Workplace:
    """A build in a temporary folder, whose commands are recorded."""

    def __init__(self, checkpoint: Path, probed: Path, workspace: Path) -> None:
        """Set the stage: everything is there and works."""
        self.checkpoint = checkpoint
        self.source = [str(checkpoint)]
        self.probed = probed
        self.workspace = workspace
        self.is_served = True
        self.tools = TOOLS
        self.failing: dict[str, int] = {}
        self.options: list[str] = []
        self.ran: list[str] = []
        self.runner = RecordedRunner(run=self._run)

    def build(self, *words: str) -> int:
        """Run the driver; ``ran`` then names the steps it ran."""
        self.ran, self.runner.commands = [], []
        command = ["--checkpoint", *self.source, "--workspace", str(self.workspace), *self.options, *words]
        return build.main(command, self.runner, lambda _endpoint, _model: self.is_served)

    def _run(self, command: Sequence[str], on_line: Callable[[str], None]) -> int:
        name = step_of(command)
        self.ran.append(name)
        if name in self.failing:
            on_line(f"{name} says why")
            return self.failing[name]
        if name == "fetch":
            return int(fetch.main(command[4:], self._download))
        if name in HERE:
            return int(HERE[name].main(command[4:]))
        if name in IN_IMAGE:
            return int(IN_IMAGE[name].main(command[4:], RecordedRunner(self.tools, L40S, self._tool)))
        if name == "probe":
            shutil.copytree(self.probed, option(command, "--output"))
        elif name == "verify":
            report = Path(option(command, "--output"))
            report.mkdir()
            (report / "report.json").write_text("{}")
        else:
            Path(option(command, "--bundle"), "calibration.json").write_text("{}")
        return 0

    def _download(self, _hub_id: str, _revision: str, folder: Path) -> None:
        shutil.copytree(self.checkpoint, folder)

    def _tool(self, command: Sequence[str], _on_line: Callable[[str], None]) -> int:
        output = Path(option(command, "--output_dir"))
        if "trtllm-build" in command:
            write_engine(output)
        else:
            shutil.copy(self.checkpoint / "model.safetensors", output / "rank0.safetensors")
            (output / "config.json").write_text("{}")
        return 0

    def state(self, step: str) -> Path:
        """Return the state file of a step."""
        return self.workspace / f"{step}.state.json"
