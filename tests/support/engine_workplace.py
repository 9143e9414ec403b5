"""A build whose programs run in this process: the tools are a stand-in, the probe is a copy, the rest is recorded."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from engine import assemble, build
from engine.host import Host
from tests.support.stand_in_toolkit import L40S, option, run_docker, tool_of

_STEPS_OF_TOOLS = {"convert_checkpoint.py": "convert", "quantize.py": "quantize", "trtllm-build": "compile"}


def step_of(command: Sequence[str]) -> str:
    """Name the step that a command of the build runs."""
    if command[0] == "docker":
        return _STEPS_OF_TOOLS[tool_of(command)]
    module = command[2]
    return "probe" if module == "archrouter" else module.partition(".")[2] or command[3]


class Workplace(Host):
    """A build in a temporary folder, whose commands are recorded."""

    def __init__(self, checkpoint: Path, probed: Path, workspace: Path) -> None:
        """Set the stage: everything is there and works."""
        self.checkpoint = checkpoint
        self.source = [str(checkpoint)]
        self.probed = probed
        self.workspace = workspace
        self.is_served = True
        self.has_docker = True
        self.gpu = L40S
        self.failing: dict[str, int] = {}
        self.ran: list[str] = []
        self.commands: list[Sequence[str]] = []

    def build(self, *words: str) -> int:
        """Run the build; ``ran`` then names the programs it ran."""
        self.ran, self.commands = [], []
        command = ["--checkpoint", *self.source, "--workspace", str(self.workspace), *words]
        return build.main(command, self, lambda _endpoint, _model: self.is_served, self._download)

    def has(self, program: str) -> bool:
        """See `Host.has`."""
        return program == "docker" and self.has_docker

    def gpus(self) -> str:
        """See `Host.gpus`."""
        return self.gpu

    def run(self, command: Sequence[str]) -> int:
        """See `Host.run`."""
        name = step_of(command)
        self.ran.append(name)
        self.commands.append(command)
        if name in self.failing:
            return self.failing[name]
        if command[0] == "docker":
            run_docker(command)
        elif name == "assemble":
            return assemble.main(command[4:])
        elif name == "probe":
            shutil.copytree(self.probed, option(command, "--output"))
        elif name == "verify":
            Path(option(command, "--output")).mkdir()
        else:
            Path(option(command, "--bundle"), "calibration.json").write_text("{}")
        return 0

    def _download(self, _hub_id: str, _revision: str, folder: Path) -> None:
        shutil.copytree(self.checkpoint, folder)
