"""Fixtures of the tests that talk to the service over a real connection."""

from collections.abc import AsyncIterator

import pytest
from tests.support.rpc_service import RpcService, running_service


@pytest.fixture
async def service() -> AsyncIterator[RpcService]:
    """Serve with the ordinary options."""
    async with running_service() as running:
        yield running
