"""Tells a running service of its new endpoints file, and waits until its endpoints have changed."""

import asyncio
import os
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from archrouter.cli.exits import FailedError
from archrouter.client import ClientOptions, RoutingClient, open_channel
from archrouter.rpc.health import ENDPOINTS_SERVICE


def reload_by_signal(pid: int) -> Callable[[], None]:
    """Make the action that asks a process of this machine to read its files again; FailedError when it is not there."""

    def send() -> None:
        try:
            os.kill(pid, signal.SIGHUP)
        except OSError as error:
            msg = f"no signal could be sent to process {pid}: {error.strerror}; nothing was switched"
            raise FailedError(msg) from error

    return send


def reload_by_command(command: str) -> Callable[[], None]:
    """Make the action that runs a command line without a shell, e.g. one that sends SIGHUP into a container."""

    def run() -> None:
        try:
            result = subprocess.run(shlex.split(command), stdout=subprocess.DEVNULL, check=False)
        except (OSError, ValueError) as error:
            msg = f"{command!r} cannot be run: {error}; nothing was switched"
            raise FailedError(msg) from error
        if result.returncode:
            msg = f"{command!r} failed with exit code {result.returncode}; nothing was switched"
            raise FailedError(msg)

    return run


async def switch_endpoints(options: ClientOptions, reload: Callable[[], None], *, timeout_s: float) -> str:
    """Have a service read its endpoints file, wait until every endpoint of it serves, and return its version.

    Raises:
        FailedError: When the service keeps its old endpoints, or is not done in time.
    """
    try:
        async with asyncio.timeout(timeout_s), _endpoints_health(options) as states:
            agrees = await anext(states)
            reload()
            if agrees:  # first the switch begins: what serves is not what the file says
                await _until(states, agrees=False)
            await _until(states, agrees=True)
    except TimeoutError:
        msg = (
            f"{options.target} does not serve the new endpoints after {timeout_s:g} s; the old ones keep serving "
            "unless its log says endpoints_taken_over. Its lines endpoint_refused and endpoints_rejected say why"
        )
        raise FailedError(msg) from None
    except StopAsyncIteration:
        msg = f"{options.target} stopped during the switch"
        raise FailedError(msg) from None
    except grpc.aio.AioRpcError as error:
        msg = f"{options.target} does not tell the health of its endpoints: {error.code().name}: {error.details()}"
        raise FailedError(msg) from error
    async with RoutingClient(options) as client:
        return str((await client.server_info()).model_version)


async def _until(states: AsyncIterator[bool], *, agrees: bool) -> None:
    while await anext(states) is not agrees:
        pass


@asynccontextmanager
async def _endpoints_health(options: ClientOptions) -> AsyncIterator[AsyncIterator[bool]]:
    """Watch whether what serves agrees with the service's endpoints file: the state now, then each change."""
    async with open_channel(options) as channel:
        request = health_pb2.HealthCheckRequest(service=ENDPOINTS_SERVICE)
        watch = health_pb2_grpc.HealthStub(channel).Watch(request)

        async def states() -> AsyncIterator[bool]:
            async for response in watch:
                yield response.status == health_pb2.HealthCheckResponse.SERVING

        try:
            yield states()
        finally:
            watch.cancel()
