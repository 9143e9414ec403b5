"""The workbench's page on a port of its own, in the test's event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from archrouter.client import ClientOptions, RetryOptions
from archrouter.ui.folders import Folders
from archrouter.ui.server import page_application, serve_page
from archrouter.ui.service import Service


@asynccontextmanager
async def served_page(target: str, folders: Folders) -> AsyncIterator[str]:
    """Serve the page over a service at `target`; yields its address, which ends with a slash."""
    options = ClientOptions(target, timeout_s=5.0, retry=RetryOptions(max_attempts=1))
    address = asyncio.get_running_loop().create_future()
    application = page_application(Service(options), folders)
    serving = asyncio.create_task(serve_page(application, "127.0.0.1", 0, address.set_result))
    try:
        yield await address
    finally:
        serving.cancel()
        await asyncio.wait([serving])
