"""Puts the build programs on the path, and gives a host whose answers a test writes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from recorded_runner import RecordedRunner
from tiny_bundles import ENGINE, write_bundle

from archrouter.bundles.loader import PromptBundle, load_bundle

if TYPE_CHECKING:
    from first_gpu_run.host import Host

BUILD = Path(__file__).parents[3] / "build"
if str(BUILD) not in sys.path:
    sys.path.insert(0, str(BUILD))


@pytest.fixture
def engine_bundle(checkpoint: Path, tmp_path: Path) -> PromptBundle:
    """Give a bundle whose manifest describes an engine of the tiny checkpoint."""
    return load_bundle(write_bundle(tmp_path / "bundle", checkpoint, ENGINE))


@pytest.fixture
def host(root: Path, engine_bundle: PromptBundle) -> Host:
    """Give a host with a bundle and a served model without faults."""
    from first_gpu_run.host import Host  # noqa: PLC0415  # on the path from here on
    from recorded_wire import L40S, RecordedWire, usual  # noqa: PLC0415  # same

    return Host(
        runner=RecordedRunner(captures=L40S),
        model_repository=root / "model_repository",
        model="tensorrt_llm",
        endpoint="gpu:8001",
        wire=RecordedWire(usual),
        bundle=engine_bundle,
    )
