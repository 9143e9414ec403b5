"""``archrouter endpoints`` without a service: what it checks, and when it tells nobody."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result
from tests.support.engine_bundles import VOCAB_SIZE, write_engine_bundle
from tests.support.engine_triton import EngineTriton, engine_triton
from tests.support.fake_backend import FAKE_PROFILE
from tests.support.rpc_service import running_service

from archrouter.bundles.manifest import read_manifest
from archrouter.cli import cli
from archrouter.cli.endpoint_switch import reload_by_command, reload_by_signal, switch_endpoints
from archrouter.cli.exits import FailedError
from archrouter.client import ClientOptions
from archrouter.rpc.health import Component

NOBODY = 2**22 + 1
"""Above the largest process id that Linux gives by default."""


@pytest.fixture
def bundle_directory(checkpoint: Path, tmp_path: Path) -> Path:
    """Write an engine bundle."""
    return write_engine_bundle(tmp_path / "one", checkpoint)


@pytest_asyncio.fixture
async def triton(bundle_directory: Path) -> AsyncIterator[EngineTriton]:
    """Serve it."""
    async with engine_triton(read_manifest(bundle_directory)[1], vocab_size=VOCAB_SIZE) as served:
        yield served


@pytest.fixture
def file(triton: EngineTriton, tmp_path: Path) -> Path:
    """List the endpoint."""
    path = tmp_path / "endpoints.yaml"
    path.write_text(f"endpoints:\n  - {{endpoint: '{triton.endpoint}', bundle: one}}\n")
    return path


async def run(*arguments: str) -> Result:
    """Run the command in a thread of its own, so that the fake server can answer it."""
    return await asyncio.to_thread(CliRunner().invoke, cli, ["endpoints", *arguments])


async def test_endpoints_that_pass_are_listed_with_their_version(
    file: Path, triton: EngineTriton, tmp_path: Path
) -> None:
    """Exit code 0, one record each."""
    result = await run("check", "--json", str(file))

    assert 0 == result.exit_code
    assert {
        "endpoints": [
            {
                "endpoint": triton.endpoint,
                "model": "tensorrt_llm",
                "model_version": read_manifest(tmp_path / "one")[1],
                "passed": True,
                "reason": "",
            }
        ]
    } == json.loads(result.stdout)


async def test_an_endpoint_that_does_not_pass_fails_the_check(file: Path, triton: EngineTriton) -> None:
    """Exit code 1; the table says why."""
    triton.config.parameters["model_version"].string_value = "sha256:" + "f" * 64

    result = await run("check", str(file))

    assert 1 == result.exit_code
    assert "deploy the TensorRT engine" in " ".join(result.stdout.split())


async def test_a_check_can_wait_for_an_endpoint_that_loads(file: Path, triton: EngineTriton) -> None:
    """What does not pass yet is tried again for as long as it is told."""
    version = triton.config.parameters["model_version"].string_value
    triton.config.parameters["model_version"].string_value = ""
    checking = asyncio.ensure_future(run("check", "--wait", "20", str(file)))
    await asyncio.sleep(0.3)
    triton.config.parameters["model_version"].string_value = version

    assert 0 == (await checking).exit_code


async def test_a_file_that_cannot_be_used_is_told_as_compilers_do(file: Path) -> None:
    """File, line, column, field and remedy; no endpoint is called."""
    file.write_text("endpoints:\n  - {endpoint: a, bundle: one}\n")

    result = await run("check", str(file))

    assert 1 == result.exit_code
    assert f"{file}:2:16: error: endpoints[0].endpoint: 'a' is not HOST:PORT; write both" in result.stderr


async def test_nothing_is_switched_to_an_endpoint_that_does_not_pass(file: Path, triton: EngineTriton) -> None:
    """The service is not told."""
    triton.config.parameters.pop("tokenizer_dir")

    result = await run("switch", str(file), "--reload-command", f"touch {file.parent / 'told'}")

    assert 1 == result.exit_code
    assert "nothing was switched: 1 of 1 endpoints do not pass" in result.stderr
    assert "parameter 'tokenizer_dir' is missing" in result.stderr
    assert not (file.parent / "told").exists()


@pytest.mark.parametrize("ways", [(), ("--pid", "1", "--reload-command", "true")])
async def test_one_way_to_tell_the_service_must_be_chosen(file: Path, ways: tuple[str, ...]) -> None:
    """Exit code 2 for none and for both."""
    result = await run("switch", str(file), *ways)

    assert 2 == result.exit_code
    assert "--pid PID or --reload-command COMMAND" in result.stderr


async def test_a_switch_without_a_service_fails(file: Path) -> None:
    """Nobody listens at the target, so nobody can say that the switch is through."""
    result = await run("switch", str(file), "--pid", str(NOBODY), "--target", "127.0.0.1:1")

    assert 1 == result.exit_code
    assert "127.0.0.1:1 does not tell the health of its endpoints: UNAVAILABLE" in result.stderr


@pytest.mark.parametrize(
    ("reload", "message"),
    [
        (reload_by_signal(NOBODY), f"no signal could be sent to process {NOBODY}: No such process"),
        (reload_by_command("false"), "'false' failed with exit code 1"),
        (reload_by_command("no-such-program --now"), "'no-such-program --now' cannot be run"),
        (reload_by_command("'"), "cannot be run: No closing quotation"),
    ],
)
def test_a_service_that_cannot_be_told_is_not_switched(reload: Callable[[], None], message: str) -> None:
    """The message says that nothing has happened."""
    with pytest.raises(FailedError) as caught:
        reload()

    assert message in caught.value.message
    assert "nothing was switched" in caught.value.message


async def test_a_switch_is_through_when_the_endpoints_changed_and_the_service_says_so() -> None:
    """NOT_SERVING while the service switches, SERVING after: then the version counts."""
    async with running_service() as service:
        loop = asyncio.get_running_loop()

        def reload() -> None:
            loop.call_later(0.05, lambda: service.health.set_ready(Component.ENDPOINTS, ready=False))
            loop.call_later(0.10, lambda: service.health.set_ready(Component.ENDPOINTS, ready=True))

        options = ClientOptions(f"127.0.0.1:{service.port}")

        assert FAKE_PROFILE.model_version == await switch_endpoints(options, reload, timeout_s=5)


@pytest.mark.parametrize("agrees_before", [True, False])
async def test_a_service_that_keeps_its_endpoints_fails_the_switch(*, agrees_before: bool) -> None:
    """A refused list leaves health at NOT_SERVING; the command gives up in time and says where to look."""
    async with running_service() as service:
        service.health.set_ready(Component.ENDPOINTS, ready=agrees_before)
        options = ClientOptions(f"127.0.0.1:{service.port}")

        with pytest.raises(FailedError, match="endpoint_refused and endpoints_rejected say why"):
            await switch_endpoints(
                options, lambda: service.health.set_ready(Component.ENDPOINTS, ready=False), timeout_s=0.3
            )


async def test_a_service_that_stops_fails_the_switch() -> None:
    """A watch that ends without an answer is told as what it is."""
    async with running_service() as service:
        options = ClientOptions(f"127.0.0.1:{service.port}")

        with pytest.raises(FailedError, match="stopped during the switch"):
            await switch_endpoints(options, service.health.close, timeout_s=5)
