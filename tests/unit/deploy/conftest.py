"""The files under test."""

from pathlib import Path

import pytest
from tests.support.deployment import REQUIRED_VARIABLES, Dockerfile, Document, read_compose


@pytest.fixture
def deploy(root: Path) -> Path:
    """Return the folder under test."""
    return root / "deploy"


@pytest.fixture
def service_image(deploy: Path) -> Dockerfile:
    """Return the Dockerfile of the service."""
    return Dockerfile.read(deploy / "docker" / "service.Dockerfile")


@pytest.fixture
def triton_image(deploy: Path) -> Dockerfile:
    """Return the Dockerfile of Triton."""
    return Dockerfile.read(deploy / "docker" / "triton.Dockerfile")


@pytest.fixture
def gpu_host(deploy: Path) -> Document:
    """Return the Compose file of a GPU host with its required variables set and all others at their defaults."""
    return read_compose(deploy / "compose.yaml", REQUIRED_VARIABLES)


@pytest.fixture
def cpu_host(deploy: Path) -> Document:
    """Return the Compose file of one container, without any variable."""
    return read_compose(deploy / "compose.cpu.yaml", {})
