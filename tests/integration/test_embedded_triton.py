"""The embedded Triton as a process: start, loss, failure, and no orphans."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton
from archrouter.inference.installation import EmbeddedTritonError
from archrouter.inference.triton_client import TritonClient

START_TIMEOUT_S = 60.0
ECHO_CONFIG = """
name: "echo"
backend: "python"
max_batch_size: 0
input [ { name: "text" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "text_out" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
"""
ECHO_MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        texts = [pb_utils.get_input_tensor_by_name(request, "text").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("text_out", text)]) for text in texts]
"""
BROKEN_MODEL = "raise RuntimeError('broken on purpose')\n"


def make_repository(folder: Path, model: str) -> Path:
    """Write a model repository with one Python model."""
    (folder / "echo" / "1").mkdir(parents=True)
    (folder / "echo" / "config.pbtxt").write_text(ECHO_CONFIG)
    (folder / "echo" / "1" / "model.py").write_text(model)
    return folder


def processes_with(needle: str) -> list[str]:
    """List the command lines of this machine's processes that hold a text."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process ended while we looked
            command = cmdline.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if needle in command:
                found.append(command)
    return found


@pytest_asyncio.fixture
async def triton(tmp_path: Path) -> AsyncIterator[EmbeddedTriton]:
    """Give a started Triton with the echo model."""
    server = EmbeddedTriton(make_repository(tmp_path, ECHO_MODEL), (EmbeddedModel("echo"),), START_TIMEOUT_S)
    await server.start()
    yield server
    await server.stop()
    server.close()


async def is_ready(server: EmbeddedTriton) -> bool:
    """Ask the server over gRPC."""
    connection = TritonClient(server.endpoint, max_concurrent_requests=1)
    try:
        return bool(await connection.is_model_ready("echo", timeout_s=1.0))
    finally:
        await connection.close()


async def test_a_started_server_is_ready_and_a_stopped_one_leaves_nothing(triton: EmbeddedTriton) -> None:
    """Neither the server nor its Python stub nor shared memory outlives the stop."""
    run_directory = str(triton.run_directory)

    assert await is_ready(triton)
    assert processes_with(run_directory)
    await triton.stop()

    assert triton.pid is None
    assert [] == processes_with(run_directory)
    assert [] == list(Path("/dev/shm").glob(f"{triton._shm_prefix}*"))


async def test_a_killed_server_is_noticed_cleaned_up_and_restarts_on_the_same_endpoint(triton: EmbeddedTriton) -> None:
    """A crash is seen by `wait_exit`, its stub is reaped, and clients need no new address."""
    endpoint, pid = triton.endpoint, triton.pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    exit_code = await asyncio.wait_for(triton.wait_exit(), 5)

    assert -signal.SIGKILL == exit_code
    assert [] == processes_with(str(triton.run_directory))
    await triton.start()
    assert endpoint == triton.endpoint
    assert await is_ready(triton)


async def test_a_model_that_cannot_be_loaded_fails_the_start_with_tritons_log(tmp_path: Path) -> None:
    """Whoever starts the service sees Triton's own words."""
    server = EmbeddedTriton(make_repository(tmp_path, BROKEN_MODEL), (EmbeddedModel("echo"),), START_TIMEOUT_S)

    with pytest.raises(EmbeddedTritonError, match="broken on purpose"):
        await server.start()

    assert [] == processes_with(str(server.run_directory))
    server.close()


async def test_a_missing_model_is_named_before_anything_starts(tmp_path: Path) -> None:
    """The remedy is in the message."""
    server = EmbeddedTriton(tmp_path, (EmbeddedModel("absent"),), START_TIMEOUT_S)

    with pytest.raises(EmbeddedTritonError, match=r"no model 'absent'.*embedded\.model_repository"):
        await server.start()


async def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """The time-out stops the child and names the setting."""
    server = EmbeddedTriton(make_repository(tmp_path, "import time\ntime.sleep(60)\n"), (EmbeddedModel("echo"),), 1.0)

    with pytest.raises(EmbeddedTritonError, match=r"embedded\.start_timeout_s"):
        await server.start()

    assert [] == processes_with(str(server.run_directory))
    server.close()


async def test_the_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Even kill -9 on the service leaves no Triton behind."""
    repository = make_repository(tmp_path / "models", ECHO_MODEL)
    program = (
        "import asyncio, pathlib, sys\n"
        "from archrouter.inference.embedded import EmbeddedModel, EmbeddedTriton\n"
        "async def main():\n"
        "    server = EmbeddedTriton(pathlib.Path(sys.argv[1]), (EmbeddedModel('echo'),), 60.0)\n"
        "    await server.start()\n"
        "    print(server.run_directory, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(repository), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    run_directory = (await parent.stdout.readline()).decode().strip()
    assert processes_with(run_directory)

    parent.kill()
    await parent.wait()

    async with asyncio.timeout(20):
        while processes_with(run_directory):
            await asyncio.sleep(0.1)
