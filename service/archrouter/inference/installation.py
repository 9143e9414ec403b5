"""The parts of the ``nvidia-pytriton`` wheel: the ``tritonserver`` binary, its Python backend and its libraries."""

import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_WHEEL = "nvidia-pytriton"


class EmbeddedTritonError(RuntimeError):
    """The embedded Triton cannot be started, or ended before it was ready."""


@dataclass(frozen=True, slots=True)
class TritonInstallation:
    """The parts of the ``nvidia-pytriton`` wheel that a server needs.

    Attributes:
        server: The ``tritonserver`` binary.
        python_backend: Folder of the Python backend.
        stub: The Python backend's stub for the running Python.
        libraries: Folder of the shared libraries the wheel bundles.
    """

    server: Path
    python_backend: Path
    stub: Path
    libraries: Path

    @classmethod
    def find(cls) -> "TritonInstallation":
        """Locate the wheel that is installed for the running Python, or say what is missing and the remedy."""
        try:
            site = Path(str(metadata.distribution(_WHEEL).locate_file("")))
        except metadata.PackageNotFoundError:
            msg = f"the embedded Triton needs the package {_WHEEL}; install it with: pip install 'archrouter[embedded]'"
            raise EmbeddedTritonError(msg) from None
        root = site / "pytriton" / "tritonserver"
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        found = cls(
            server=root / "bin" / "tritonserver",
            python_backend=root / "backends" / "python",
            stub=root / "python_backend_stubs" / python / "triton_python_backend_stub",
            libraries=site / "nvidia_pytriton.libs",
        )
        for path in (found.server, found.python_backend, found.stub, found.libraries):
            if not path.exists():
                supported = ", ".join(sorted(p.name for p in (root / "python_backend_stubs").glob("*")))
                msg = f"{_WHEEL} has no {path.relative_to(site)}; it serves Python {supported}, this is {python}"
                raise EmbeddedTritonError(msg)
        return found


def assemble_backend(installation: TritonInstallation, directory: Path) -> None:
    """Put the Python backend and the stub of the running Python side by side, where Triton looks for both."""
    backend = directory / "python"
    backend.mkdir(parents=True)
    for path in (*installation.python_backend.iterdir(), installation.stub):
        if path.is_file():
            (backend / path.name).symlink_to(path)


def environment(installation: TritonInstallation, inherited: Mapping[str, str]) -> dict[str, str]:
    """Let Triton find its libraries, and its stub the running Python with its packages."""
    libraries = [str(installation.libraries), str(sysconfig.get_config_var("LIBDIR"))]
    if inherited.get("LD_LIBRARY_PATH"):
        libraries.append(inherited["LD_LIBRARY_PATH"])
    return {
        **inherited,
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]),
        "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime's own switch-off function comes too late
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
