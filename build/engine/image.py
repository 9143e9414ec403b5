"""Runs TensorRT-LLM's tools where they are: in this container, or in one started for the command."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import NeedsMoreError, StepFailedError
from engine.precision import Precision, check_gpu
from engine.runner import Runner
from engine.settings import DEFAULT_FILE, DEFAULT_TOOLKIT, Settings, Toolkit, read_settings
from engine.toolchain import Command, Folders, enter_line, in_container

DOCKER = "docker"
GPU_QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader")

_GPU_LINE = re.compile(r"(?P<name>.+), (?P<capability>\d+\.\d), (?P<driver>\d+)(?P<rest>[\d.]*)")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as ``nvidia-smi`` describes it.

    Attributes:
        name: E.g. ``NVIDIA L40S``.
        compute_capability: E.g. ``8.9``.
        driver: E.g. ``590.44.01``.
        driver_major: E.g. 590.
    """

    name: str
    compute_capability: str
    driver: str
    driver_major: int


@dataclass(frozen=True, slots=True)
class Image:
    """How a step reaches the tools of TensorRT-LLM.

    Attributes:
        settings: Pins and limits.
        version: Of TensorRT-LLM.
        is_container: Whether each command gets a container of its own.
        runner: Starts programs.
    """

    settings: Settings
    version: str
    is_container: bool
    runner: Runner

    @property
    def toolkit(self) -> Toolkit:
        """The version's pins."""
        return self.settings.toolkit(self.version)

    def require(self, tool: str, precision: Precision, folders: Folders) -> Gpu:
        """Check that a tool can run here.

        Args:
            tool: Program on the path, or path of a script; must be there unless containers are used.
            precision: Must be one that the GPU can run.
            folders: What the image must see.

        Returns:
            The first GPU.

        Raises:
            NeedsMoreError: Naming all that is missing, the image, and how to enter it.
            BadInputError: When the GPU cannot run the precision.
        """
        needed = DOCKER if self.is_container else tool
        missing = [] if self.runner.has(needed) else [needed]
        gpu = find_gpu(self.runner)
        if gpu is None:
            missing.append(f"an NVIDIA GPU ({GPU_QUERY[0]} does not answer)")
        elif gpu.driver_major < self.toolkit.min_driver:
            missing.append(f"an NVIDIA driver of {self.toolkit.min_driver} or newer (this is {gpu.driver})")
        if missing or gpu is None:
            raise NeedsMoreError(self._how_to_enter(missing, folders))
        check_gpu(precision, gpu.compute_capability)
        return gpu

    def run(self, command: Command, folders: Folders) -> None:
        """Run a tool and show its output; it may warn as it likes, only its exit code counts.

        Args:
            command: As it is inside the image.
            folders: What it reads and writes.

        Raises:
            StepFailedError: When it ends with an error.
        """
        if self.is_container:
            command = in_container(self.toolkit, self.settings.container, command, folders)
        code = self.runner.run(command, lambda line: print(line, flush=True))
        if code:
            msg = f"{' '.join(command[:2])} ended with exit code {code}; its output stands above"
            raise StepFailedError(msg)

    def _how_to_enter(self, missing: Sequence[str], folders: Folders) -> str:
        toolkit = self.toolkit
        lines = "\n".join(f"  - {what}" for what in missing)
        size = f" ({toolkit.image_gb:g} GB)" if toolkit.image_gb else ""
        return (
            f"this machine lacks what the step needs:\n{lines}\n"
            f"It runs in the image {toolkit.image}{size}, on a host with an NVIDIA GPU and driver "
            f"{toolkit.min_driver} or newer. Enter the image in this folder:\n"
            f"  {enter_line(toolkit, self.settings.container, folders)}\n"
            "and repeat `make engine` or this command there; or repeat it on that host with --container docker "
            "(make: CONTAINER=docker)."
        )


def find_gpu(runner: Runner) -> Gpu | None:
    """Ask for the first GPU.

    Args:
        runner: Starts programs.

    Returns:
        The GPU; None when there is none.
    """
    lines = (runner.capture(GPU_QUERY) or "").splitlines()
    match = _GPU_LINE.fullmatch(lines[0].strip()) if lines else None
    if match is None:
        return None
    return Gpu(match["name"], match["capability"], match["driver"] + match["rest"], int(match["driver"]))


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every step that runs in the image.

    Args:
        parser: Gets ``--settings``, ``--toolkit`` and ``--container``.
    """
    parser.add_argument("--settings", type=Path, default=DEFAULT_FILE, help="pins and limits (build/pipeline.toml)")
    parser.add_argument("--toolkit", default=DEFAULT_TOOLKIT, help="version of TensorRT-LLM (default: %(default)s)")
    parser.add_argument("--container", choices=(DOCKER,), help="run the tool in a container of the toolkit's image")


def image_of(options: argparse.Namespace, runner: Runner) -> Image:
    """Read those options.

    Args:
        options: Parsed.
        runner: Starts programs.

    Returns:
        The image.
    """
    settings = read_settings(options.settings)
    settings.toolkit(options.toolkit)
    return Image(settings, options.toolkit, options.container == DOCKER, runner)
