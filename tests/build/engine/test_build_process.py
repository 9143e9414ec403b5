"""The build as a process: a real probe, a real Triton, and a stand-in for Docker with TensorRT-LLM's image."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.stand_in_toolkit import write_toolkit

from archrouter.bundles.loader import load_bundle
from archrouter.bundles.manifest import check_files

WAIT_S = 60.0
STEPS = ("fetch", "probe", "convert", "compile", "assemble")


class Build:
    """One build in a workspace of its own."""

    def __init__(self, root: Path, toolkit: Path, workspace: Path) -> None:
        """Bind the parts."""
        self.root, self.toolkit, self.workspace = root, toolkit, workspace

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start the build on the tiny checkpoint."""
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "engine", "build", "--checkpoint", "tests/data/tiny_checkpoint"),
                *("--converted", "tests/data/tiny_checkpoint/onnx", "--workspace", str(self.workspace), *words),
            ],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": "build", "PATH": f"{self.toolkit}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def names(self) -> set[str]:
        """Name what is in the workspace."""
        return {path.name for path in self.workspace.iterdir()}


@pytest.fixture
def build(root: Path, tmp_path: Path) -> Build:
    """Give a build that nothing has been done of."""
    return Build(root, write_toolkit(tmp_path / "bin"), tmp_path / "workspace")


def is_running(program: Path) -> bool:
    """Say whether any process runs a program."""
    for command_line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(program).encode() in command_line.read_bytes():
                return True
        except OSError:
            continue  # it ended meanwhile
    return False


def test_an_interrupted_build_goes_on_where_it_was(build: Build) -> None:
    """SIGTERM ends build and tool in order; the next run makes the interrupted step again, and the end is whole."""
    (build.toolkit / "hang").touch()
    process = build.start("--until", "assemble")
    deadline = time.monotonic() + WAIT_S
    while not (build.toolkit / "hanging").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.terminate()
    process.communicate(timeout=WAIT_S)

    assert 143 == process.returncode
    assert not is_running(build.toolkit / "docker")
    assert {"fetch", "fetch.digest", "probe", "probe.digest", "convert"} == build.names()
    probed = load_bundle(build.workspace / "probe")
    assert ('{"route": "x"}', 20) == (probed.prompt_format.skeleton.render("x"), probed.manifest.skeleton.probe_count)

    (build.toolkit / "hang").unlink()
    process = build.start("--until", "assemble", "--json")
    out, err = process.communicate(timeout=300)

    document = json.loads(out)
    bundle = load_bundle(build.workspace / "assemble" / "bundle")
    check_files(bundle.directory, bundle.manifest)
    assert 0 == process.returncode, err
    assert 2 == err.count("unchanged, not run again")
    assert ["verify", "calibrate"] == document["not_run"]
    assert bundle.profile.model_version == document["model_version"]
    assert {*STEPS, *(f"{step}.digest" for step in STEPS)} == build.names()
    assert ["convert_checkpoint.py", "convert_checkpoint.py", "trtllm-build"] == (
        (build.toolkit / "calls").read_text().split()
    )
