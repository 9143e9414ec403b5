"""What the steps of a build read."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.engine_bundles import SINGLE_QUOTES, write_bundle
from tests.support.stand_in_toolkit import L40S, write_engine


@pytest.fixture
def own_checkpoint(checkpoint: Path, tmp_path: Path) -> Path:
    """Give a copy of the tiny checkpoint that a test may damage."""
    return Path(shutil.copytree(checkpoint, tmp_path / "tiny", ignore=shutil.ignore_patterns("onnx")))


@pytest.fixture
def probed(checkpoint: Path, tmp_path: Path) -> Path:
    """Write what the step probe leaves, without its model: answers with single quotes."""
    return write_bundle(tmp_path / "probe", checkpoint, SINGLE_QUOTES, max_prompt_token_count=1023)


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes what the step compile leaves, with changes to the engine's config."""

    def write(**changes: object) -> Path:
        folder = tmp_path / "compile"
        write_engine(folder / "engine", **changes)
        (folder / "gpu.csv").write_text(L40S)
        return folder

    return write
