"""What a build needs of the machine it runs on: programs, and the GPU."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.commands import GPU_QUERY
from engine.program import NeedsMoreError
from engine.settings import Precision, Toolkit, check_gpu

INSIDE_IMAGE = Path("/opt/tritonserver/backends/tensorrtllm")
"""Only TensorRT-LLM's image has this folder."""

_DOCKER = "docker"
_GPU_LINE = re.compile(r".+, (?P<capability>\d+\.\d), (?P<driver>(?P<major>\d+)[\d.]*)")
_STANDARD_ERROR = 2  # what tools print must not mix with what this program answers


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as ``nvidia-smi`` describes it: ``NVIDIA L40S, 8.9, 590.44.01``."""

    line: str
    compute_capability: str
    driver: str
    driver_major: int

    @classmethod
    def parse(cls, text: str) -> "Gpu | None":
        """Read the first GPU of what `GPU_QUERY` prints; None when there is none."""
        line = text.partition("\n")[0].strip()
        match = _GPU_LINE.fullmatch(line)
        return match and cls(line, match["capability"], match["driver"], int(match["major"]))


class Host:
    """This machine; tests bring another."""

    def has(self, program: str) -> bool:
        """Say whether a program is on the path."""
        return shutil.which(program) is not None

    def gpus(self) -> str:
        """Return what `GPU_QUERY` prints; empty when it cannot run."""
        try:
            return subprocess.run(GPU_QUERY, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return ""

    def run(self, command: Sequence[str]) -> int:
        """Run a program to its end, its output on standard error, and return its exit code."""
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=_STANDARD_ERROR) as process:
            try:
                return process.wait()
            except BaseException:
                process.terminate()
                raise

    def require_gpu(self, toolkit: Toolkit, precision: Precision) -> Gpu:
        """Return the first GPU after checking that the image can run here, and the precision on it."""
        missing = [] if self.has(_DOCKER) else [_DOCKER]
        gpu = Gpu.parse(self.gpus())
        if gpu is None:
            missing.append(f"an NVIDIA GPU ({GPU_QUERY[0]} does not answer)")
        elif gpu.driver_major < toolkit.min_driver:
            missing.append(f"an NVIDIA driver of {toolkit.min_driver} or newer (this is {gpu.driver})")
        if missing or gpu is None:
            lines = "\n".join(f"  - {what}" for what in missing)
            size = f" ({toolkit.image_gb:g} GB)" if toolkit.image_gb else ""
            msg = (
                f"this machine lacks what the step needs:\n{lines}\n"
                f"It runs in the image {toolkit.reference}{size}. Repeat the command on a host with Docker, an NVIDIA "
                f"GPU and driver {toolkit.min_driver} or newer; --plan prints the lines to run by hand"
            )
            raise NeedsMoreError(msg)
        check_gpu(precision, gpu.compute_capability)
        return gpu
