"""The driver as a process, killed and resumed: real steps, a real Triton, a stand-in for TensorRT-LLM's tools."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in_toolkit import StandInToolkit, write_toolkit

from archrouter.bundles.loader import load_bundle
from archrouter.bundles.manifest import check_files

WAIT_S = 60.0
STEPS = ("fetch", "probe", "convert", "compile", "assemble")


@pytest.fixture
def toolkit(root: Path, tmp_path: Path) -> StandInToolkit:
    """Write the stand-in, and the settings that name it."""
    return write_toolkit(tmp_path / "bin", root / "build" / "pipeline.toml")


class Build:
    """One build in a workspace of its own."""

    def __init__(self, root: Path, toolkit: StandInToolkit, workspace: Path) -> None:
        """Bind the parts."""
        self.root, self.toolkit, self.workspace = root, toolkit, workspace

    def start(self, *words: str, has_tools: bool = True) -> "subprocess.Popen[str]":
        """Start the driver on the tiny checkpoint."""
        path = os.environ["PATH"]
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "engine", "build", "--checkpoint", "tests/data/tiny_checkpoint"),
                *("--converted", "tests/data/tiny_checkpoint/onnx", "--workspace", str(self.workspace)),
                *(("--settings", str(self.toolkit.settings)) if has_tools else ()),
                *words,
            ],
            cwd=self.root,
            env={
                **os.environ,
                "PYTHONPATH": "build",
                "PATH": f"{self.toolkit.folder}:{path}" if has_tools else path,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, has_tools: bool = True) -> tuple[int, str, str]:
        """Run the driver to its end."""
        process = self.start(*words, has_tools=has_tools)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def names(self) -> set[str]:
        """Name what is in the workspace."""
        return {path.name for path in self.workspace.iterdir()} - {".lock", "logs"}


@pytest.fixture
def build(root: Path, toolkit: StandInToolkit, tmp_path: Path) -> Build:
    """Give a build that nothing has been done of."""
    return Build(root, toolkit, tmp_path / "workspace")


def wait_for(path: Path) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + WAIT_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear within {WAIT_S:g} s"
        time.sleep(0.05)


def is_running(program: Path) -> bool:
    """Say whether any process runs a program."""
    for command_line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(program).encode() in command_line.read_bytes():
                return True
        except OSError:
            continue  # it ended meanwhile
    return False


def test_outside_the_image_the_build_stops_at_convert(build: Build) -> None:
    """Exit code 3, the image and the line that enters it, and nothing of the step on the disk."""
    code, out, err = build.run(has_tools=False)

    assert (3, "") == (code, out)
    assert "step convert ended with exit code 3" in err
    assert "/app/examples/models/core/qwen/convert_checkpoint.py" in err
    assert "an NVIDIA GPU (nvidia-smi does not answer)" in err
    assert (
        "  docker run --rm -it --gpus all --shm-size=2g --ulimit memlock=-1 --ulimit stack=67108864 "
        f'-v {build.workspace}:{build.workspace} -v "$PWD:$PWD" -w "$PWD" '
        "nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3 bash\n"
    ) in err
    assert {"fetch", "fetch.state.json", "probe", "probe.state.json"} == build.names()
    probed = load_bundle(build.workspace / "probe")
    assert ('{"route": "x"}', 20) == (
        probed.prompt_format.skeleton.render("x"),
        probed.manifest.skeleton.probe_count,
    )


def test_a_killed_build_goes_on_where_it_was(build: Build, toolkit: StandInToolkit) -> None:
    """Killed inside a step, then between steps: no tool survives, nothing half-written is used, the end is whole."""
    (toolkit.folder / "hang").touch()
    inside = build.start("--until", "assemble")
    wait_for(toolkit.folder / "hanging")
    scratch = [name for name in build.names() if name.startswith(".convert-")]
    inside.send_signal(signal.SIGKILL)
    inside.communicate(timeout=WAIT_S)
    deadline = time.monotonic() + WAIT_S
    while is_running(toolkit.folder / "convert_checkpoint.py") and time.monotonic() < deadline:
        time.sleep(0.05)

    assert 1 == len(scratch)
    assert not is_running(toolkit.folder / "convert_checkpoint.py")
    assert "convert" not in build.names()

    (toolkit.folder / "hang").unlink()
    between = build.start("--until", "assemble")
    wait_for(build.workspace / "convert.state.json")
    between.send_signal(signal.SIGKILL)
    between.communicate(timeout=WAIT_S)
    code, out, err = build.run("--until", "assemble", "--json")

    document = json.loads(out)
    bundle = load_bundle(build.workspace / "assemble" / "bundle")
    check_files(bundle.directory, bundle.manifest)
    assert 0 == code, err
    assert [None, None, None] == [document["seconds"][name] for name in STEPS[:3]]
    assert ["verify", "calibrate"] == document["not_run"]
    assert bundle.profile.model_version == document["model_version"]
    assert {*STEPS, *(f"{step}.state.json" for step in STEPS)} == build.names()
    assert ["convert_checkpoint.py", "convert_checkpoint.py"] == [
        name for name in toolkit.calls if name != "trtllm-build"
    ]


def test_an_interrupted_build_removes_what_it_was_writing(build: Build, toolkit: StandInToolkit) -> None:
    """SIGTERM ends driver, step and tool in order; nothing half-written is left even before the next run."""
    (toolkit.folder / "hang").touch()
    process = build.start("--until", "assemble")
    wait_for(toolkit.folder / "hanging")

    process.terminate()
    process.communicate(timeout=WAIT_S)

    assert 143 == process.returncode
    assert not is_running(toolkit.folder / "convert_checkpoint.py")
    assert {"fetch", "fetch.state.json", "probe", "probe.state.json"} == build.names()
