"""Puts the build programs on the path, and gives what the steps read."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stand_in_toolkit import write_engine
from tiny_bundles import write_bundle

BUILD = Path(__file__).parents[3] / "build"
if str(BUILD) not in sys.path:
    sys.path.insert(0, str(BUILD))


@pytest.fixture
def own_checkpoint(checkpoint: Path, tmp_path: Path) -> Path:
    """Give a copy of the tiny checkpoint that a test may damage."""
    return Path(shutil.copytree(checkpoint, tmp_path / "tiny", ignore=shutil.ignore_patterns("onnx")))


@pytest.fixture
def probed(checkpoint: Path, tmp_path: Path) -> Path:
    """Write what the step probe leaves, without its model: answers with single quotes."""
    return write_bundle(tmp_path / "probe", checkpoint)


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes what the step compile leaves, with changes to the engine's config."""

    def write(**changes: object) -> Path:
        folder = tmp_path / "compile"
        write_engine(folder / "engine", **changes)
        (folder / "gpu.json").write_text('{"compute_capability": "8.9"}')
        return folder

    return write
